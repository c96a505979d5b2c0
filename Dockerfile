# One image for both roles: the ingress by default, the worker with the command `aci-hooks run`.
ARG PYTHON=python:3.13.9-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/aci-hooks && /opt/aci-hooks/bin/pip install --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY aci_hooks aci_hooks
COPY shared shared
COPY ingress ingress
COPY worker worker
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
 && /opt/aci-hooks/bin/pip install --no-deps --no-index /opt/wheel/*.whl

FROM ${PYTHON} AS runtime
# pyproject.toml says which: docker build --build-arg VERSION="$(sed -nE 's/^version = "(.*)"/\1/p' pyproject.toml)" .
ARG VERSION=development
LABEL org.opencontainers.image.title="aci-hooks" \
      org.opencontainers.image.description="Deploys a pushed image onto running Azure Container Instances, in place" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin aci-hooks
COPY --from=build /opt/aci-hooks /opt/aci-hooks
# Two arenas for the worker and the dashboard: with one for each thread, freed memory stays behind. The ingress sets its
# own (shared/memory.py), wherever it runs.
ENV PATH=/opt/aci-hooks/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
WORKDIR /tmp
USER 10001
EXPOSE 8080 8081
# Either role answers on its own port; no proxy of the environment may come between.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD \
  for port in "${PORT:-8080}" "${ACI_HOOKS_WORKER_PORT:-8081}"; do \
    python -c "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{sys.argv[1]}/healthz', timeout=2)" \
      "$port" 2>/dev/null && exit 0; \
  done; exit 1
CMD ["aci-hooks-ingress"]

# Azure's stand-in for docker-compose.yml, and for nothing else.
FROM runtime AS simulator
COPY tests/__init__.py /simulator/tests/
COPY tests/arm_simulator /simulator/tests/arm_simulator
WORKDIR /simulator
EXPOSE 8484
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s CMD \
  ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8484/_simulator/healthz', timeout=2)"]
CMD ["python", "-m", "tests.arm_simulator", "--host", "0.0.0.0", "--port", "8484", "--demo"]

FROM runtime AS aci-hooks
