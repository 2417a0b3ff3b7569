# Jumelle alone, with the embedded engine unless JUMELLE_CLICKHOUSE_URL names a server. Debian, not Alpine: the engine
# is built for glibc.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 jumelle && install -d -o jumelle -g jumelle /data
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY tag_sdk/dist ./tag_sdk/dist
COPY matching ./matching
COPY audiences ./audiences
COPY service ./service
RUN pip install --no-cache-dir . && rm -rf /build

USER jumelle
WORKDIR /data
ENV JUMELLE_DATA=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
# SIGINT and SIGTERM both end it in order: what was acknowledged is in the spool.
ENTRYPOINT ["jumelle"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
