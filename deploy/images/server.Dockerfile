# attune-server: the public API, the queue and the registry. No LibTorch.
#   docker build -f deploy/images/server.Dockerfile -t attune-server:0.1.0 .
ARG DEBIAN=debian:12.11-slim

FROM ${DEBIAN} AS build
WORKDIR /src
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
# Packages first: a change of the sources does not install them again.
COPY deploy/setup.sh deploy/wheels.txt deploy/
RUN deploy/setup.sh --server-only && rm -rf /var/lib/apt/lists/*
COPY . .
RUN deploy/ci/build.sh server-only -DATTUNE_BUILD_TESTS=OFF \
      --target attune-server \
 && strip build/server-only/bin/attune-server

FROM ${DEBIAN}
RUN apt-get update -qq \
 && apt-get upgrade -y -qq \
 && apt-get install -y -qq --no-install-recommends \
      libabsl20220623 libfmt9 libgrpc++1.51 libgrpc29 \
      libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 libprotobuf32 \
      libsoci-core4.0 libsoci-sqlite3-4.0 libspdlog1.10 libsqlite3-0 libssl3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home attune \
 && install -d -o attune -g attune /var/lib/attune
COPY --from=build /src/build/server-only/bin/attune-server /usr/local/bin/
COPY LICENSE /usr/share/doc/attune/
USER 10001:10001
VOLUME /var/lib/attune
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["attune-server"]
CMD ["--listen=0.0.0.0:50051", "--metrics-listen=0.0.0.0:9464", \
     "--state-dir=/var/lib/attune"]
