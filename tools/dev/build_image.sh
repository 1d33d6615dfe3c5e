#!/usr/bin/env bash
# Build the image of docker/Dockerfile's stage `cpu` where no Docker engine runs. Needs root on Debian or Ubuntu:
#   apt-get install buildah debootstrap
#   tools/dev/build_image.sh [arguments of buildah bud]
# Where python:3.11-slim cannot be pulled, a Debian with Python 3.11 stands in for it. Arguments bring along what the
# host's network needs, outside the Dockerfile, for example
#   -v /etc/pip.conf:/etc/pip.conf:ro --build-arg TORCH_INDEX_URL=https://pypi.org/simple --build-arg PYTORCH=2.13.0
# Environment: IMAGE, its name (default mmseg-allspark:cpu); STORAGE, a folder for images (default buildah's own)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BASE="docker.io/library/python:3.11-slim"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot  # neither kernel modules nor namespaces are needed
STORE=(${STORAGE:+--root "$STORAGE/root" --runroot "$STORAGE/run"})

make_base() {
    local folder container
    folder="$(mktemp -d)"
    debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,python-is-python3,ca-certificates \
        bookworm "$folder"
    rm -f "$folder"/usr/lib/python3*/EXTERNALLY-MANAGED  # as in python:3.11-slim, pip may install
    container="$(buildah "${STORE[@]}" from scratch)"
    cp -a "$folder/." "$(buildah "${STORE[@]}" mount "$container")"
    buildah "${STORE[@]}" config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah "${STORE[@]}" commit --rm "$container" "$BASE"
    rm -rf "$folder"
}

buildah "${STORE[@]}" inspect --type image "$BASE" >/dev/null 2>&1 ||
    timeout 120 buildah "${STORE[@]}" pull "$BASE" || make_base
# the format of Docker has a HEALTHCHECK
exec buildah "${STORE[@]}" bud --format docker --target cpu --file docker/Dockerfile \
    --tag "${IMAGE:-mmseg-allspark:cpu}" "$@" .
