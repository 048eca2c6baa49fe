# docker build -t prospr .
# docker run -p 8501:8501 -v prospr:/data prospr
#
# TORCH_INDEX_URL chooses the wheels: empty takes the default ones, which hold CUDA; give
# PyTorch's CPU wheel index (see its installation page) for an image of a fifth of the size.
FROM python:3.12-slim

ARG TORCH_INDEX_URL=""

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# Charts are written as pictures without a browser, but not without a font.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv/prospr

COPY requirements.txt requirements-core.txt constraints.txt ./
# torch and torchvision must come from one and the same place to fit each other.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
      pip install --index-url "$TORCH_INDEX_URL" -c constraints.txt torch torchvision; \
    fi \
    && pip install -r requirements.txt -c constraints.txt

COPY .streamlit .streamlit
COPY prospr_engine prospr_engine
COPY app app

RUN useradd --uid 1000 --create-home prospr \
    && mkdir /data \
    && chown prospr /data
USER prospr

# Downloaded data sets and the results of runs.
ENV PROSPR_DATA=/data/sets \
    PROSPR_RUNS=/data/runs
# Any name leads to this container. Give the ones that should, as soon as they are known.
ENV STREAMLIT_SERVER_ALLOWED_HOSTS="*"
VOLUME /data

EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# The first process passes the end of the container on, also to the worker: a run that is being
# computed goes back to the queue.
ENTRYPOINT ["python", "-m", "prospr_engine.jobs.init"]
CMD ["python", "-m", "streamlit", "run", "app/streamlit_app.py", "--server.address", "0.0.0.0", "--server.port", "8501"]
