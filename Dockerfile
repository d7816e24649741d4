# cog in an image, for a CPU or, with --build-arg DEVICE=cuda, for NVIDIA GPUs:
#
#     docker build --tag cog .
#     docker build --tag cog:cuda --build-arg DEVICE=cuda .
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" cog demo
#     docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" --volume "$PWD:/work" --volume /data:/data:ro \
#         cog:cuda evaluate --model dino --images /data/imagenet21k --in1k /data/imagenet
#
# Results go to the folder mounted at /work; weights that are downloaded go to /work/.cog (COG_HOME).
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
COPY setup.cfg pyproject.toml MANIFEST.in README.md LICENSE CHANGELOG.md CITATION.cff ./
COPY levels levels
COPY cog cog
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# PyTorch's wheels of PyPI bring CUDA, 3 GB of it; those for a CPU alone have an index of their own.
ARG DEVICE=cpu
ARG EXTRAS=parquet,cloud,open_clip,transformers
RUN python -m venv /opt/cog \
    && case "$DEVICE" in \
        cpu) /opt/cog/bin/pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu ;; \
        cuda) ;; \
        *) echo "DEVICE is cpu or cuda, found $DEVICE" >&2; exit 1 ;; \
    esac \
    && /opt/cog/bin/pip install --no-cache-dir "$(ls /wheels/*.whl)[$EXTRAS]"

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="cog" \
      org.opencontainers.image.source="https://github.com/imagenet-cog/imagenet-cog" \
      org.opencontainers.image.licenses="BSD-3-Clause AND LicenseRef-WordNet-3.0"
RUN useradd --create-home --uid 1000 cog && install --directory --owner cog --group cog /work
COPY --from=build /opt/cog /opt/cog
ENV PATH=/opt/cog/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    COG_HOME=/work/.cog \
    HF_HOME=/work/.cog/huggingface
USER 1000
WORKDIR /work
ENTRYPOINT ["cog"]
CMD ["--help"]
