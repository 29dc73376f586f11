# syntax=docker/dockerfile:1
# The gateway in a container:
#
#   docker build -t vdm .
#   docker run --rm -p 127.0.0.1:8082:8082 -e OPENAI_API_KEY vdm
#
# Without a gateway key (PROXY_API_KEY) it serves every program that reaches the published port, but no web page.
# compose.yaml and docs/deployment.md have more.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY protocol protocol
COPY actors actors
COPY vendor vendor
COPY src src
# Cache mounts keep their content between builds. The binary is copied out of them in the same step.
# Without profile-guided optimisation (scripts/release): for another processor than the machine's own, the training would run
# in emulation, for an hour, and measure the emulator.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin vdm && cp target/release/vdm /usr/local/bin/vdm

# The whole content of the image: the binary, the libraries that it loads, and what the C library reads to resolve names.
# There is no shell and no package manager.
FROM build AS root
COPY scripts/image-root scripts/image-root
RUN scripts/image-root /usr/local/bin/vdm /root-of-image

FROM scratch
LABEL org.opencontainers.image.title="Vandamme Proxy" \
      org.opencontainers.image.description="An LLM gateway for the Anthropic Messages and OpenAI Chat Completions APIs" \
      org.opencontainers.image.licenses="MIT"
COPY --from=root /root-of-image /
COPY --from=root --chown=10001:10001 /root-of-image/home/vdm /home/vdm
COPY --from=root --chown=10001:10001 /root-of-image/var/lib/vdm /var/lib/vdm
USER 10001:10001
# Mount vandamme-config.toml or .env here. The image also works with a read-only root file system: only /tmp (control socket)
# and /var/lib/vdm (models cache, history) are written.
WORKDIR /home/vdm
# A published port needs a listener that is reachable from outside of the container.
ENV HOST=0.0.0.0
ENV HOME=/home/vdm
ENV PATH=/usr/local/bin
ENV CACHE_DIR=/var/lib/vdm/cache
ENV VDM_STATE_DIR=/var/lib/vdm/state
VOLUME ["/var/lib/vdm"]
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["vdm", "health", "server", "--live"]
ENTRYPOINT ["vdm"]
CMD ["server", "start"]
