# syntax=docker/dockerfile:1
# The platform's image, for arm64 (the cloud) and amd64: `docker build -t ffp .`
#
# api, worker and migrate are the same image with another command. It runs as nobody in particular (10001), with a
# read-only root, and writes to /tmp alone; scripts/container-contract proves that of the binary without any engine.

# Both as tested: the compiler that the workspace asks for, on the Debian whose libraries the binary will meet.
ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-${DEBIAN} AS build
WORKDIR /src
COPY . .
# A platform has a cache of its own: their artefacts must not meet. The binary leaves the cache, which is no layer.
ARG TARGETARCH
RUN --mount=type=cache,id=ffp-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=ffp-target-${TARGETARCH},target=/src/target,sharing=locked \
    cargo build --locked --release --no-default-features --package platform --bin platform \
    && cp target/release/platform /usr/local/bin/platform

# The authorities of RDS's certificates, which are not among the system's. AWS adds to this file now and then, so no sum
# of it stands here; the build prints it. Whoever wants to be asked gives the last one, --build-arg RDS_BUNDLE_SHA256=…,
# and another file then fails the build.
FROM debian:${DEBIAN}-slim AS certificates
ARG RDS_BUNDLE_URL=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
ARG RDS_BUNDLE_SHA256
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl openssl \
    && curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 --output /rds.pem "$RDS_BUNDLE_URL" \
    && found=$(sha256sum /rds.pem | cut -d ' ' -f 1) \
    && if [ -n "$RDS_BUNDLE_SHA256" ] && [ "$found" != "$RDS_BUNDLE_SHA256" ]; then \
        echo "RDS's bundle has the sum $found, not $RDS_BUNDLE_SHA256: see what AWS changed, then give the new sum" >&2; exit 1; \
    fi \
    # Whatever it is, it is Amazon's: no other authority may vouch for the database.
    && openssl crl2pkcs7 -nocrl -certfile /rds.pem | openssl pkcs7 -print_certs -noout | grep '^subject=' > /subjects \
    && test -s /subjects && ! grep -v 'Amazon Web Services, Inc.*OU *= *Amazon RDS' /subjects \
    && echo "RDS's bundle: $(wc -l < /subjects) authorities, sha256 $found"

FROM debian:${DEBIAN}-slim
# ffmpeg brings ffprobe, with which uploads are examined. curl is the containers' health check.
# The binary itself needs libc6 and libgcc-s1, which every Debian has; container-contract compares.
RUN apt-get update \
    && apt-get upgrade --yes \
    && apt-get install --yes --no-install-recommends ca-certificates curl ffmpeg \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && groupadd --gid 10001 ffp \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ffp
COPY --from=certificates --chmod=0444 /rds.pem /etc/ssl/certs/rds.pem
COPY --from=build --chmod=0555 /usr/local/bin/platform /usr/local/bin/platform

ARG REVISION=unknown
LABEL org.opencontainers.image.title="FFP platform" org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
WORKDIR /tmp
# Fargate mounts a volume here, which is root's unless the image says that it is one: then it is as Debian's /tmp, everybody's.
VOLUME ["/tmp"]
# SIGTERM drains: 3 s in which it is still found, and then what is in flight.
STOPSIGNAL SIGTERM
EXPOSE 8080 9464
ENTRYPOINT ["platform"]
