#!/usr/bin/env bash
# Make, or find, the Python environment of this project. Prints its python on stdout (progress goes to stderr).
#   tools/setup_env.sh [--tests | --dev] [--stack fork|upstream]
# --tests and --dev add what tests and development need. A second run finds the environment ready, in well under 1 s.
# Environment:
#   MMSEG_ALLSPARK_PYTHON  use this python's environment as it is and install nothing
#   MMSEG_ALLSPARK_VENV    where to make the environment (default: .venv in the project, .venv-upstream for upstream)
#   PYTHON                 the python to make it from (default: a suitable one on the PATH)
#   TORCH_INDEX_URL        package index for torch alone, such as one with builds for your CUDA version or CPU only
#   UPSTREAM_MMCV_WHEEL    an mmcv wheel for --stack upstream (default: mmcv-lite)

set -euo pipefail

TOOLS_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(dirname "$TOOLS_DIR")"
TORCH_WITHOUT_GPU="torch==2.13.0"

say() { echo "[setup] $*" >&2; }
die() { say "error: $*"; exit 1; }
pip_install() { "$PY" -m pip install --disable-pip-version-check --prefer-binary "$@" >&2; }
check() { "$1" "$TOOLS_DIR/doctor.py" --import "${@:2}" >&2; }

EXTRA="" LEVEL=0 STACK=fork MODULES=(torch mmengine mmcv mmseg cv2 yapf.yapflib.yapf_api)
while [ $# -gt 0 ]; do
    case "$1" in
        --tests) [ "$LEVEL" = 2 ] || { LEVEL=1 EXTRA=tests; } ;;
        --dev) LEVEL=2 EXTRA=dev ;;
        --stack) STACK="${2:-}"; shift ;;
        --stack=*) STACK="${1#*=}" ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 0 ;;
        *) die "unknown argument '$1' (see --help)" ;;
    esac
    shift
done
[ -z "$EXTRA" ] || MODULES+=(pytest xdist hypothesis)
case "$STACK" in  # the tests build the configs with mmpretrain's backbones
    fork) REQUIREMENTS="$ROOT/requirements.txt" VENV="$ROOT/.venv" EXTRA="${EXTRA:+[$EXTRA,mmpretrain]}" ;;
    upstream)
        REQUIREMENTS="$ROOT/requirements/upstream.txt" VENV="$ROOT/.venv-upstream"
        EXTRA="${EXTRA:+[$EXTRA,mmpretrain-upstream]}"
        ;;
    *) die "--stack must be fork or upstream, got '$STACK'" ;;
esac

if [ ! -f "$ROOT/setup.py" ]; then  # tools of an installed package: what it is installed in is the environment
    MMSEG_ALLSPARK_PYTHON="${MMSEG_ALLSPARK_PYTHON:-${PYTHON:-python3}}"
fi
if [ -n "${MMSEG_ALLSPARK_PYTHON:-}" ]; then
    PY="$(command -v -- "$MMSEG_ALLSPARK_PYTHON")" ||
        die "MMSEG_ALLSPARK_PYTHON=$MMSEG_ALLSPARK_PYTHON does not exist or cannot be run."
    case "$PY" in /*) ;; *) PY="$PWD/$PY" ;; esac  # callers change folders
    check "$PY" "${MODULES[@]}" ||
        die "MMSEG_ALLSPARK_PYTHON=$PY cannot be used as it is (above). Install what is missing there, or unset" \
            "MMSEG_ALLSPARK_PYTHON to have an environment made in $ROOT/.venv."
    say "using $PY as it is (MMSEG_ALLSPARK_PYTHON)"
    echo "$PY"
    exit 0
fi

VENV="${MMSEG_ALLSPARK_VENV:-$VENV}"
VENV="${VENV%/}"
case "$VENV" in /*) ;; *) VENV="$PWD/$VENV" ;; esac
PY="$VENV/bin/python"
MADE_HERE="$VENV/.mmseg_allspark_made"  # we created this folder, so we may remove it
READY="$VENV/.mmseg_allspark_ready"     # "hash level" of the last finished installation
HASH="$({ echo "$STACK $TORCH_WITHOUT_GPU $ROOT"; cat "$REQUIREMENTS" "$ROOT/setup.py"; } | cksum | tr ' ' -)"

is_ready() {  # is_ready LEVEL
    local hash="" level=""
    [ -x "$PY" ] && [ -f "$READY" ] && read -r hash level <"$READY" && [ "$hash" = "$HASH" ] && [ "$level" -ge "$1" ]
}

make_venv() {
    local name fits='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))'
    for name in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python3.10 python; do
        # only running it tells: pyenv's shims exist for versions that are not active, too
        if "$name" -c "$fits" 2>/dev/null; then
            say "making $VENV from $name ($("$name" --version 2>&1))"
            mkdir -p "$VENV"
            touch "$MADE_HERE"
            "$name" -m venv "$VENV" >&2
            return
        fi
        [ -z "${PYTHON:-}" ] ||
            die "PYTHON=$PYTHON cannot make the environment: Python 3.10 to 3.13 with venv is needed."
    done
    die "no Python 3.10 to 3.13 with venv found (on Debian: apt-get install python3-venv)." \
        "Install one, or name it: PYTHON=/path/to/python3.11 $0"
}

install_stack() {
    local torch mmcv=()
    torch="$(grep '^torch' "$REQUIREMENTS")"
    if ! "$PY" -c 'import torch' >/dev/null 2>&1 && ! nvidia-smi -L >/dev/null 2>&1; then
        torch="$TORCH_WITHOUT_GPU"
        say "no NVIDIA GPU found; set TORCH_INDEX_URL to an index of CPU builds if the download is too large"
    fi
    pip_install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$torch"
    [ "$STACK" = fork ] || mmcv=("${UPSTREAM_MMCV_WHEEL:-mmcv-lite==2.1.0}")
    pip_install -r "$REQUIREMENTS" ${mmcv[@]+"${mmcv[@]}"}
}

repair_opencv() {  # opencv-python needs libGL, which servers and containers lack; both builds own the same files
    local error
    error="$("$PY" -c 'import cv2' 2>&1)" && return
    case "$error" in *"cannot open shared object file"* | *libGL*) ;; *) die "OpenCV cannot be imported: $error" ;; esac
    say "opencv-python lacks a system library; replacing it with opencv-python-headless"
    "$PY" -m pip uninstall --yes opencv-python opencv-python-headless >&2
    pip_install --force-reinstall --no-deps opencv-python-headless
}

# two commands started at once must not install into each other
if ! is_ready "$LEVEL" && command -v flock >/dev/null 2>&1; then
    mkdir -p "$(dirname "$VENV")"
    exec 9>"$VENV.lock"
    flock -n 9 || { say "another run is installing into $VENV; waiting for it"; flock 9; }
fi
if ! is_ready "$LEVEL"; then
    if [ -e "$MADE_HERE" ] && { [ ! -f "$READY" ] || [ ! -x "$PY" ]; }; then
        say "removing $VENV: it was left unfinished, or its Python is gone"
        rm -rf "$VENV"
    fi
    if [ ! -x "$PY" ]; then
        [ ! -e "$VENV" ] || [ -z "$(ls -A "$VENV")" ] ||
            die "$VENV exists but is no Python environment; remove it, or set MMSEG_ALLSPARK_VENV to another folder."
        make_venv
    fi
    check "$PY" || die "$VENV cannot be used (above)."
    if ! is_ready 0; then  # else only tests or dev are to be added, and what was ready stays so
        [ ! -f "$READY" ] || : >"$READY"  # the requirements have changed: emptied, the mark says "to be mended"
        install_stack
    fi
    (cd "$ROOT" && pip_install --editable ".$EXTRA")
    repair_opencv
    check "$PY" "${MODULES[@]}" || die "the installation is not usable (above)."
    echo "$HASH $LEVEL" >"$READY"
    say "ready in $SECONDS s: $VENV"
fi
echo "$PY"
