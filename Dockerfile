# Two images from one file:
#   docker build --target host     --tag adapterd .            the daemon and its validation worker (torch)
#   docker build --target deployer --tag adapterd-deployer .   resolve and pull: no torch, no daemon
# docs/operations.md shows how to start them; on a host that trains, give the uid of the user who trains:
#   --build-arg UID="$(id -u alice)" --build-arg GID="$(id -g alice)"

ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim AS base
# No bytecode: the root file system is read-only at run time. No buffering: log lines arrive as they are written.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/adapterd
# An empty package first: its dependencies make a layer that a change in the source leaves alone.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir -p src/adapterd && touch src/adapterd/__init__.py

FROM build AS build-deployer
RUN /opt/adapterd/bin/pip install --no-cache-dir --constraint constraints.txt .
COPY src src
RUN /opt/adapterd/bin/pip install --no-cache-dir --constraint constraints.txt --no-deps --force-reinstall .

FROM build AS build-host
# Which torch: empty takes the default index's wheel, which brings CUDA. For a CPU image of a fifth of the size, give
# the address of PyTorch's index of CPU wheels. Either way no CUDA base image is needed: the driver comes from the host.
ARG TORCH_INDEX_URL=""
RUN /opt/adapterd/bin/pip install --no-cache-dir --constraint constraints.txt \
      ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} ".[host]"
COPY src src
RUN /opt/adapterd/bin/pip install --no-cache-dir --constraint constraints.txt --no-deps --force-reinstall .

FROM base AS runtime
ARG UID=1000
ARG GID=1000
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="adapterd" \
      org.opencontainers.image.description="Validates the PEFT adapters of a training host and publishes them as versions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The same places as under systemd. A volume made from the image takes over owner and mode.
RUN install -d -m 0700 -o "${UID}" -g "${GID}" /var/lib/adapterd /run/adapterd
# The uid has no account here; libraries that ask for a home or a login name find these.
ENV PATH=/opt/adapterd/bin:$PATH \
    HOME=/var/lib/adapterd \
    LOGNAME=adapterd \
    STATE_DIRECTORY=/var/lib/adapterd \
    RUNTIME_DIRECTORY=/run/adapterd
WORKDIR /var/lib/adapterd
# adapterd handles SIGTERM also as process 1; start it with --init all the same, which reaps what a killed worker leaves.
STOPSIGNAL SIGTERM

FROM runtime AS deployer
COPY --from=build-deployer /opt/adapterd /opt/adapterd
# By number: the image has no account for it, and an orchestrator can see that it is not root.
USER ${UID}:${GID}
ENTRYPOINT ["/opt/adapterd/bin/adapterd"]
CMD ["--help"]

FROM runtime AS host
COPY --from=build-host /opt/adapterd /opt/adapterd
VOLUME ["/var/lib/adapterd"]
# Change it together with status.listen.
ENV ADAPTERD_HEALTH_URL=http://127.0.0.1:9464/healthz
# For verbs run by hand in the container.
ENV ADAPTERD_CONFIG=/etc/adapterd/adapterd.yaml
# The answer is bad when the daemon's loop has not turned lately. No proxy: the address is this container's own.
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 \
  CMD ["/opt/adapterd/bin/python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(os.environ['ADAPTERD_HEALTH_URL'], timeout=5)"]
USER ${UID}:${GID}
ENTRYPOINT ["/opt/adapterd/bin/adapterd"]
CMD ["watch", "--config", "/etc/adapterd/adapterd.yaml"]
