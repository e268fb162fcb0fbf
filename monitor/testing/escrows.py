"""Everything that must hold of an escrow."""

from collections.abc import Mapping

from monitor import foreign
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.escrow import Escrow, Secret, Wanted
from monitor.plugin_contract import faults_of
from monitor.testing.responders import ending


async def check_escrow(
    escrow: Escrow, has: Mapping[Wanted, bytes], *, lacks: Wanted, fails: Wanted | None = None
) -> None:
    """Everything that must hold of an escrow.

    It must give what it `has`, byte by byte, as often as it is asked and each time as an object of
    its own, None for what it `lacks`, and one of the two errors for what `fails`.
    """
    wrong = faults_of("escrows", str(getattr(escrow, "name", "")), escrow)
    assert not wrong, f"{type(escrow).__name__}: {'; '.join(wrong)}"
    for wanted, material in has.items():
        for _ in range(2):  # the first one is overwritten, and must not be the second one too
            error, secret = await ending(escrow.fetch(wanted))
            assert error is None, f"{wanted}: it raised {foreign.text_of(error)}"
            assert isinstance(secret, Secret), f"{wanted}: it must give a monitor.escrow.Secret"
            with secret:
                assert secret.reveal() == material, f"{wanted}: it gave other material"
    error, secret = await ending(escrow.fetch(lacks))
    assert error is None, f"{lacks}: it raised, but None says that it has none"
    assert secret is None, f"{lacks}: it must give None"
    if fails is None:
        return
    error, secret = await ending(escrow.fetch(fails))
    assert isinstance(error, (WorthRetrying, NotWorthRetrying)), (
        f"{fails}: an escrow raises only WorthRetrying and NotWorthRetrying"
    )
    for material in has.values():
        for form in (material.hex(), repr(material)[2:-1]):
            assert form not in str(error), f"{fails}: the text of its error holds material"
