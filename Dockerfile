# syntax=docker/dockerfile:1
# Build stage: compiles the services into one binary. Nothing of it but that file is shipped.
FROM docker.io/library/debian:12 AS build
ARG DENO_VERSION=2.9.6
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY deno.json deno.lock ./
COPY src src
COPY deploy/compile.ts deploy/compile.ts
COPY deploy/binary deploy/binary
RUN npx --yes deno@${DENO_VERSION} task compile

# Run stage: glibc and libgcc, no shell, no package manager, an unprivileged user.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/dist/amicis /amicis
USER 65532:65532
EXPOSE 3000 8080
# Without a service it asks whichever one runs: it cannot see the arguments of the entry point.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/amicis", "--healthcheck"]
ENTRYPOINT ["/amicis"]
