# One image for every system: `node`, the thin binaries and `loadgen`. Built in stages, so that the image holds
# no compiler.
#
#   docker build --target node -t seedstorm .

FROM rust:1-slim-bookworm AS source
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .

FROM source AS build
RUN cargo build --release --locked -p server -p loadgen

FROM debian:bookworm-slim AS base
RUN useradd --system --create-home --home-dir /var/lib/seedstorm seedstorm \
    && mkdir --parents /data /raft/data && chown seedstorm /data /raft/data
USER seedstorm
WORKDIR /data
ENV RUST_LOG=info
EXPOSE 8080 9090 3000

FROM base AS node
COPY --from=build /source/target/release/node /source/target/release/loadgen /usr/local/bin/
COPY --from=build /source/target/release/metricstream_server /usr/local/bin/
COPY --from=build /source/target/release/distributed_analytics_system /source/target/release/worker /usr/local/bin/
ENTRYPOINT ["node"]
