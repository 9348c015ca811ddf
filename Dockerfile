# Steward in one image: pages, API, sockets and workers differ only in the command.
# Not tried where it was written, as no Docker daemon was there: the first build is its first proof.
#   docker build -t steward .
#   docker run --rm -p 8000:8000 -v steward:/var/lib/steward steward
ARG PYTHON_TAG=3.11-slim-bookworm

FROM python:${PYTHON_TAG} AS libraries
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
# Pinned and hashed: what is installed is what was tested.
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

FROM python:${PYTHON_TAG}
# bubblewrap confines generated code; Node.js runs the generated JavaScript.
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap nodejs \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/steward --shell /usr/sbin/nologin steward \
    && install -d -o steward -g steward -m 0700 /var/lib/steward
COPY --from=libraries /opt/venv /opt/venv
WORKDIR /app
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STEWARD_VAR_DIR=/var/lib/steward
# Shows at build time that the static files are whole. The settings keep them below STEWARD_VAR_DIR, which a volume hides
# at run time, so they are collected there again at every start: seconds, and never older than the program.
RUN STEWARD_VAR_DIR=/tmp/build python manage.py collectstatic --noinput && rm -rf /tmp/build
USER 10001:10001
VOLUME /var/lib/steward
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["sh", "-c", "python manage.py collectstatic --noinput --verbosity 0 && exec python manage.py up --host 0.0.0.0"]
