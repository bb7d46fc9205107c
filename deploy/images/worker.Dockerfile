# attune-worker: trains and serves. Two images from one file:
#   docker build -f deploy/images/worker.Dockerfile -t attune-worker:0.1.0 .
#   docker build -f deploy/images/worker.Dockerfile --target worker-cuda \
#     -t attune-worker:0.1.0-cuda .
ARG DEBIAN=debian:12.11-slim
ARG RUST=rust:1.95-slim-bookworm

FROM ${RUST} AS build
WORKDIR /src
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
# LibTorch lies at the same path here and in the final image: the binary's
# RPATH names it.
ENV ATTUNE_HOME=/opt/attune
COPY deploy/setup.sh deploy/wheels.txt deploy/
COPY worker/text/crate/Cargo.toml worker/text/crate/Cargo.lock \
     worker/text/crate/
RUN mkdir worker/text/crate/src && touch worker/text/crate/src/lib.rs \
 && deploy/setup.sh && rm -rf /var/lib/apt/lists/*
COPY . .
RUN deploy/ci/build.sh release --target attune-worker \
 && strip build/release/bin/attune-worker

# All that LibTorch needs on a GPU: the wheels that torch names, each with its
# exact version.
FROM build AS cuda
RUN python3 -m pip install --quiet --no-cache-dir --no-compile \
      --only-binary=:all: --target /cuda torch==2.15.0 \
 && mkdir -p /deps/torch/lib \
 && cp -a /cuda/nvidia /deps/nvidia \
 && cp -a /cuda/torch/lib/*.so* /deps/torch/lib/ \
 && cp -a /cuda/torch-*.dist-info/licenses /deps/torch/licenses \
 && rm -f /deps/torch/lib/libtorch_python.so

FROM ${DEBIAN} AS base
RUN apt-get update -qq \
 && apt-get upgrade -y -qq \
 && apt-get install -y -qq --no-install-recommends \
      libabsl20220623 libfmt9 libgrpc++1.51 libgrpc29 \
      libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 libprotobuf32 \
      libspdlog1.10 libssl3 libtcmalloc-minimal4 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home attune \
 && install -d -o attune -g attune /models
COPY --from=build /src/build/release/bin/attune-worker /usr/local/bin/
COPY LICENSE /usr/share/doc/attune/
USER 10001:10001
EXPOSE 50061 9465
STOPSIGNAL SIGTERM
ENTRYPOINT ["attune-worker"]
CMD ["--listen=0.0.0.0:50061", "--metrics-listen=0.0.0.0:9465", \
     "--models-dir=/models"]

FROM base AS worker-cuda
COPY --from=cuda /deps /opt/attune/deps

# Last, so that it is what is built when no target is named.
FROM base AS worker
COPY --from=build /opt/attune/deps/torch/lib /opt/attune/deps/torch/lib
COPY --from=build /opt/attune/deps/torch/licenses \
     /opt/attune/deps/torch/licenses
COPY --from=build /opt/attune/deps/nvidia /opt/attune/deps/nvidia
