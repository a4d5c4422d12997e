# The server, for anyone's container host and for OpenEnv's validator: no root, nothing written outside the temp folder.

FROM python:3.11-slim AS build
# Bytecode is compiled here: where it runs, the file system is read-only.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
RUN pip install --no-cache-dir --disable-pip-version-check uv && python -m venv /opt/mario
WORKDIR /build
# The dependencies are a layer of their own: it stays while only the code changes.
COPY pyproject.toml requirements.lock ./
RUN uv pip install --python /opt/mario/bin/python --require-hashes -c requirements.lock -r pyproject.toml
COPY README.md LICENSE ./
COPY mario_dagster mario_dagster
RUN uv pip install --python /opt/mario/bin/python --no-deps .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Mario the Plumber on Dagster" \
      org.opencontainers.image.licenses="BSD-3-Clause"
COPY --from=build /opt/mario /opt/mario
# Sandboxes are thrown away with the container unless a volume is mounted and MARIO_HOME names it.
ENV PATH=/opt/mario/bin:$PATH \
    HOME=/tmp/home \
    MARIO_HOME=/tmp/mario \
    DAGSTER_HOME=/tmp/dagster \
    DAGSTER_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["mario", "serve", "--host", "0.0.0.0", "--port", "8000"]
