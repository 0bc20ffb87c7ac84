# One image for every system: `node`, the thin binaries and `loadgen`. Built in stages, so that the image holds
# no compiler. The stage `duckdb` adds the DuckDB engine of the analytics system.
#
#   docker build --target node -t seedstorm .
#   docker build --target duckdb -t seedstorm-duckdb .

FROM rust:1-slim-bookworm AS source
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .

FROM source AS build
RUN cargo build --release --locked -p server -p loadgen

FROM source AS build-duckdb
# Compiles DuckDB itself: half an hour on two processors.
RUN cargo build --release --locked -p server --features duckdb-bundled

FROM debian:bookworm-slim AS base
RUN useradd --system --create-home --home-dir /var/lib/seedstorm seedstorm \
    && mkdir --parents /data /raft/data && chown seedstorm /data /raft/data
USER seedstorm
WORKDIR /data
ENV RUST_LOG=info
EXPOSE 8080 9090 3000

FROM base AS duckdb
COPY --from=build-duckdb /source/target/release/node /usr/local/bin/
COPY --from=build-duckdb /source/target/release/distributed_analytics_system /source/target/release/worker /usr/local/bin/
ENTRYPOINT ["node"]

FROM base AS node
COPY --from=build /source/target/release/node /source/target/release/loadgen /usr/local/bin/
COPY --from=build /source/target/release/metricstream_server /usr/local/bin/
COPY --from=build /source/target/release/distributed_analytics_system /source/target/release/worker /usr/local/bin/
ENTRYPOINT ["node"]
