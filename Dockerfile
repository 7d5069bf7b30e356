# An image that has sexton at /sexton and nothing else. In the Dockerfile of yours:
#
#   COPY --from=sexton /sexton /sexton
#   ENTRYPOINT ["/sexton", "--"]
#
# Build it by `docker build --tag sexton .`. The base may be any image that has Rust and a C compiler.
ARG RUST=rust:1-slim
FROM ${RUST} AS build
WORKDIR /source
COPY . .
# What `sexton --version` says of the commit: git and its folder are not here.
# docker build --build-arg SOURCE_COMMIT=$(git rev-parse HEAD) --tag sexton .
ARG SOURCE_COMMIT
RUN cargo build --release --locked --bin sexton

FROM scratch
COPY --from=build /source/target/release/sexton /sexton
ENTRYPOINT ["/sexton", "--"]
