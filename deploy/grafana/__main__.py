"""Write the dashboards as JSON, beside this file: python -m deploy.grafana"""

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.keys import keys
from deploy.grafana.overview import overview
from deploy.grafana.pipeline import pipeline
from deploy.grafana.services import services

FOLDER: Final = Path(__file__).parent
MADE_BY: Final = {"overview": overview, "keys": keys, "pipeline": pipeline, "services": services}


def written() -> dict[Path, str]:
    """Every file, with what belongs into it."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {
        FOLDER / f"{name}.json": encoder.encode(make()) + "\n" for name, make in MADE_BY.items()
    }


if __name__ == "__main__":
    for file, text in written().items():
        file.write_text(text, encoding="utf-8")
        print(file)
