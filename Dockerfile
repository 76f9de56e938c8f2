# Two images from one build: `control-plane` (which also carries the filter for Envoy, and the client for the console) and `simulator`.
# Envoy itself is the official image; see docker-compose.yml.

FROM rust:1.95-trixie AS build
WORKDIR /src
RUN rustup target add wasm32-wasip1 wasm32-unknown-unknown
COPY . .
# The caches keep a rebuild short; what is in them is not in the image, hence the copies to /out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package ai-warp --package ai-warp-simulator --bins \
    && cargo build --locked --profile wasm --target wasm32-wasip1 --package ai-warp-filter \
    && cargo build --locked --profile browser --target wasm32-unknown-unknown --package ai-warp-client --lib \
    && cargo run --locked --release --package ai-warp-client-package -- --repository . --out /out/client \
        --module target/wasm32-unknown-unknown/browser/ai_warp_client.wasm \
    && install -D -t /out target/release/ai-warp target/release/ai-warp-simulator \
    && install -D -m 0644 target/wasm32-wasip1/wasm/ai_warp_filter.wasm /out/filter.wasm

# Not distroless: the health checks and the choice of the configuration in docker-compose.yml use a shell.
FROM debian:trixie-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ai-warp \
    && install -d -o ai-warp /filter
USER ai-warp

FROM runtime AS simulator
COPY --from=build /out/ai-warp-simulator /usr/local/bin/
EXPOSE 8080
ENTRYPOINT ["ai-warp-simulator"]
CMD ["--listen", "0.0.0.0:8080"]

FROM runtime AS control-plane
COPY --from=build /out/ai-warp /usr/local/bin/
COPY --from=build /out/filter.wasm /usr/share/ai-warp/filter.wasm
COPY --from=build /out/client /usr/share/ai-warp/client
# 18000: sessions and status. 18001: configuration for Envoy.
EXPOSE 18000 18001
ENTRYPOINT ["ai-warp"]
CMD ["serve", "--config", "/etc/ai-warp/ai-warp.yaml", "--filter", "/usr/share/ai-warp/filter.wasm", "--client", "/usr/share/ai-warp/client"]
