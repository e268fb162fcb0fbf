# The image of kms-monitor. Build:  docker build --tag kms-monitor .
#
# A release pins the base by its digest, so that the same commit gives the same image, and says what it is:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:<digest> \
#     --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(git log -1 --format=%cI)" ...
# How big it is, and what runs it how: docs/install-kubernetes.md
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# -- 1. the wheel, made by a hashed hatchling ------------------------------------------------------
FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.txt requirements/build.txt
RUN python -m pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY monitor monitor
RUN hatchling build -t wheel -d /dist

# -- 2. what runs, in a directory of its own that never had a pip ------------------------------------
FROM ${PYTHON_IMAGE} AS installed
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/kms-monitor
COPY requirements/run.txt /tmp/run.txt
RUN python -m pip --python /opt/kms-monitor/bin/python install \
      --require-hashes --only-binary :all: -r /tmp/run.txt
COPY --from=wheel /dist /tmp/dist
# No index: the wheel is ours, and all that it needs is there by its hash.
RUN python -m pip --python /opt/kms-monitor/bin/python install --no-index --no-deps /tmp/dist/*.whl \
 && mkdir -p /state \
 && chmod 2770 /state

# -- 3. the image ------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="kms-monitor" \
      org.opencontainers.image.description="Keeps AWS KMS keys alive: detects, undoes, verifies and tells" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN python -m pip uninstall --yes --root-user-action=ignore pip
COPY --from=installed /opt/kms-monitor /opt/kms-monitor
# A cluster may choose any user id; it then comes with the group 0.
COPY --from=installed --chown=65532:0 /state /var/lib/kms-monitor
# Variables stand above the settings file: only what cannot be otherwise in a container is set here.
ENV PATH=/opt/kms-monitor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    KMS_MONITOR_CONFIG=/etc/kms-monitor/kms-monitor.yaml \
    KMS_MONITOR_WEB__HOST=0.0.0.0
# The root file system may be read-only: state is written here, and nothing anywhere else. What Python
# compiles is in the image already.
WORKDIR /var/lib/kms-monitor
VOLUME /var/lib/kms-monitor
# A number, for Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 CMD ["kms-monitor", "health"]
ENTRYPOINT ["kms-monitor"]
CMD ["run", "--config", "/etc/kms-monitor/kms-monitor.yaml"]
