# The gateway in a container:
#
#   docker build -t vdm .
#   docker run --rm -p 127.0.0.1:8082:8082 -e OPENAI_API_KEY vdm
#
# Without a gateway key (PROXY_API_KEY) it serves every program that reaches the published port, but no web page.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY protocol protocol
COPY actors actors
COPY src src
# Cache mounts keep their content between builds. The binary is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin vdm && cp target/release/vdm /usr/local/bin/vdm

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --create-home vdm
COPY --from=build /usr/local/bin/vdm /usr/local/bin/vdm
USER 10001
# Mount vandamme-config.toml or .env here.
WORKDIR /home/vdm
# A published port needs a listener that is reachable from outside of the container.
ENV HOST=0.0.0.0
EXPOSE 8082
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["vdm", "health", "server", "--live"]
ENTRYPOINT ["vdm"]
CMD ["server", "start"]
