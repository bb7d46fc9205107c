# attune: the command line.
#   docker build -f deploy/images/cli.Dockerfile -t attune-cli:0.1.0 .
#   docker run --rm --network host attune-cli:0.1.0 status
ARG DEBIAN=debian:12.11-slim

FROM ${DEBIAN} AS build
WORKDIR /src
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/setup.sh deploy/wheels.txt deploy/
RUN deploy/setup.sh --server-only && rm -rf /var/lib/apt/lists/*
COPY . .
RUN deploy/ci/build.sh server-only -DATTUNE_BUILD_TESTS=OFF --target attune \
 && strip build/server-only/bin/attune

FROM ${DEBIAN}
RUN apt-get update -qq \
 && apt-get upgrade -y -qq \
 && apt-get install -y -qq --no-install-recommends \
      libabsl20220623 libgrpc++1.51 libgrpc29 libprotobuf32 libssl3 \
      libyaml-cpp0.7 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home attune
COPY --from=build /src/build/server-only/bin/attune /usr/local/bin/
COPY LICENSE /usr/share/doc/attune/
USER 10001:10001
ENTRYPOINT ["attune"]
