# pan serve in a container:  docker build -t pan . && docker run --rm -p 127.0.0.1:8000:8000 pan
# Other models:  docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/mine.onnx:/models/mine.onnx:ro" pan /models/mine.onnx
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 pan
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir '.[serve]' && rm -r /app/*
USER pan
WORKDIR /home/pan
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=20s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=5)"]
ENTRYPOINT ["pan", "serve", "--host", "0.0.0.0"]
