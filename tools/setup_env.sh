#!/usr/bin/env bash
# Make, or find, the Python environment of this project. Prints its python on stdout (progress goes to stderr).
#   tools/setup_env.sh [--tests | --dev] [--stack fork|upstream]
# --tests and --dev add what tests and development need. A second run finds the environment ready, in well under 1 s.
# Environment:
#   MMSEG_ALLSPARK_PYTHON  use this python's environment as it is and install nothing
#   MMSEG_ALLSPARK_VENV    where to make the environment (default: .venv in the project, .venv-upstream for upstream)
#   PYTHON                 the python to make it from (default: a suitable one on the PATH)
#   TORCH_INDEX_URL        package index for torch alone, such as one with builds for your CUDA version or CPU only
#   UPSTREAM_MMCV_WHEEL    an mmcv wheel for --stack upstream (default: one in ../shared/wheels, else mmcv-lite)

set -euo pipefail

TOOLS_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(dirname "$TOOLS_DIR")"
CALLER_DIR="$PWD"
TORCH_WITHOUT_GPU="torch==2.13.0"
FINISHED=0

say() { echo "[setup] $*" >&2; }
die() { FINISHED=1; echo "[setup] error: $*" >&2; exit 1; }

# --- arguments ------------------------------------------------------------------------------------------------------
LEVEL=0 STACK=fork
while [ $# -gt 0 ]; do
    case "$1" in
        --tests) [ "$LEVEL" -ge 1 ] || LEVEL=1 ;;
        --dev) LEVEL=2 ;;
        --stack) STACK="${2:-}"; shift ;;
        --stack=*) STACK="${1#*=}" ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 0 ;;
        *) die "unknown argument '$1' (see --help)" ;;
    esac
    shift
done
case "$STACK" in fork | upstream) ;; *) die "--stack must be fork or upstream, got '$STACK'" ;; esac
EXTRAS=("" tests dev)
REQUIREMENTS="$ROOT/requirements.txt"
[ "$STACK" = fork ] || REQUIREMENTS="$ROOT/requirements/upstream.txt"
MODULES=(torch mmengine mmcv mmseg cv2)
[ "$LEVEL" -eq 0 ] || MODULES+=(pytest xdist hypothesis)
[ "$LEVEL" -lt 2 ] || MODULES+=(ruff)

# --- an environment that the user already has -------------------------------------------------------------------------
if [ ! -f "$ROOT/setup.py" ]; then  # tools of an installed package: what it is installed in is the environment
    MMSEG_ALLSPARK_PYTHON="${MMSEG_ALLSPARK_PYTHON:-${PYTHON:-python3}}"
fi
if [ -n "${MMSEG_ALLSPARK_PYTHON:-}" ]; then
    PY="$(command -v -- "$MMSEG_ALLSPARK_PYTHON" || true)"
    [ -n "$PY" ] || die "MMSEG_ALLSPARK_PYTHON=$MMSEG_ALLSPARK_PYTHON does not exist or cannot be run."
    case "$PY" in /*) ;; *) PY="$CALLER_DIR/$PY" ;; esac  # callers change folders
    "$PY" "$TOOLS_DIR/check_env.py" --import "${MODULES[@]}" >&2 ||
        die "MMSEG_ALLSPARK_PYTHON=$PY cannot be used as it is (above). Install what is missing there, or unset" \
            "MMSEG_ALLSPARK_PYTHON to have an environment made in $ROOT/.venv."
    say "using $PY as it is (MMSEG_ALLSPARK_PYTHON)"
    echo "$PY"
    exit 0
fi

# --- an environment that is ready ---------------------------------------------------------------------------------------
DEFAULT_VENV="$ROOT/.venv"
[ "$STACK" = fork ] || DEFAULT_VENV="$ROOT/.venv-upstream"
VENV="${MMSEG_ALLSPARK_VENV:-$DEFAULT_VENV}"
VENV="${VENV%/}"
case "$VENV" in /*) ;; *) VENV="$CALLER_DIR/$VENV" ;; esac
PY="$VENV/bin/python"
MADE_HERE="$VENV/.mmseg_allspark_made"    # we created this folder, so we may remove it
READY="$VENV/.mmseg_allspark_ready"       # "hash level" of the last finished installation
HASH="$({ echo "$STACK $TORCH_WITHOUT_GPU $ROOT"; cat "$REQUIREMENTS" "$ROOT/setup.py"; } | cksum | tr ' ' -)"

is_ready() {  # is_ready LEVEL
    local hash="" level=""
    [ -x "$PY" ] && [ -f "$READY" ] && read -r hash level <"$READY" && [ "$hash" = "$HASH" ] && [ "$level" -ge "$1" ]
}

if is_ready "$LEVEL"; then
    echo "$PY"
    exit 0
fi

# --- making one -----------------------------------------------------------------------------------------------------------
find_base_python() {
    local name
    for name in "${PYTHON:-python3}" python3.11 python3.12 python3.10 python; do
        # only running it tells: pyenv's shims exist for versions that are not active, too
        if "$name" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; then
            command -v -- "$name"
            return
        fi
        [ -z "${PYTHON:-}" ] ||
            die "PYTHON=$PYTHON cannot make the environment: a Python 3.10, 3.11 or 3.12 with venv is needed."
    done
    die "no Python 3.10, 3.11 or 3.12 with venv found (python3 is $(python3 --version 2>/dev/null || echo missing))." \
        "Install one, or name it: PYTHON=/path/to/python3.11 $0"
}

make_venv() {
    local base
    base="$(find_base_python)" || { FINISHED=1; exit 1; }
    say "making $VENV from $base ($("$base" --version 2>&1))"
    mkdir -p "$VENV"
    touch "$MADE_HERE"
    if "$base" -c 'import ensurepip' >/dev/null 2>&1; then
        "$base" -m venv "$VENV" >&2
    else  # Debian's python3 without python3-venv: bring in pip with the pip there is
        "$base" -m venv --without-pip "$VENV" >&2
        "$base" -m pip install --quiet --target "$("$PY" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" pip >&2 ||
            die "$base has neither ensurepip nor pip; install python3-venv or python3-pip."
    fi
}

pip_install() { "$PY" -m pip install --disable-pip-version-check --prefer-binary "$@" >&2; }

install_torch() {
    local wanted
    wanted="$(grep '^torch' "$REQUIREMENTS")"
    if ! "$PY" -c 'import torch' >/dev/null 2>&1 && ! nvidia-smi -L >/dev/null 2>&1; then
        wanted="$TORCH_WITHOUT_GPU"
        [ -n "${TORCH_INDEX_URL:-}" ] ||
            say "no NVIDIA GPU found; set TORCH_INDEX_URL to an index of CPU builds if the download is too large"
    fi
    pip_install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$wanted"
}

install_stack() {
    if [ "$STACK" = fork ]; then
        pip_install -r "$REQUIREMENTS"
        return
    fi
    local tag wheel="${UPSTREAM_MMCV_WHEEL:-}"
    if [ -z "$wheel" ]; then
        tag="$("$PY" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')"
        wheel="$(ls "$ROOT"/../shared/wheels/mmcv-*-"$tag"-*.whl 2>/dev/null | head -n 1 || true)"
    fi
    pip_install -r "$REQUIREMENTS" "${wheel:-mmcv-lite==2.1.0}"
}

# opencv-python needs libGL, which servers and containers lack. Both builds own the same files: the first has to go
# before the second comes.
repair_opencv() {
    local error
    error="$("$PY" -c 'import cv2' 2>&1)" && return
    case "$error" in
        *"cannot open shared object file"* | *libGL*) ;;
        *) die "OpenCV cannot be imported: ${error##*$'\n'}" ;;
    esac
    say "opencv-python lacks a system library (${error##*$'\n'}); replacing it with opencv-python-headless"
    "$PY" -m pip uninstall --yes opencv-python opencv-python-headless >&2
    pip_install --force-reinstall --no-deps opencv-python-headless
}

if command -v flock >/dev/null 2>&1; then  # two commands started at once must not install into each other
    mkdir -p "$(dirname "$VENV")"
    exec 9>"$VENV.lock"
    flock -n 9 || { say "another run is installing into $VENV; waiting for it"; flock 9; }
    if is_ready "$LEVEL"; then
        echo "$PY"
        exit 0
    fi
fi
trap '[ "$FINISHED" = 1 ] || say "stopped before the environment was ready; run it again to go on"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -e "$MADE_HERE" ] && { [ ! -f "$READY" ] || [ ! -x "$PY" ]; }; then
    say "removing $VENV: it was left unfinished, or its Python is gone"
    rm -rf "$VENV"
fi
if [ ! -x "$PY" ]; then
    [ ! -e "$VENV" ] || [ -z "$(ls -A "$VENV")" ] ||
        die "$VENV exists but is no Python environment; remove it, or set MMSEG_ALLSPARK_VENV to another folder."
    make_venv
elif [ ! -e "$MADE_HERE" ]; then
    say "$VENV was not made by this script; adding to it what is missing"
fi
"$PY" "$TOOLS_DIR/check_env.py" >&2 || die "$VENV cannot be used (above)."
if ! is_ready 0; then  # else only tests or dev are to be added, and what was ready stays so
    [ ! -f "$READY" ] || : >"$READY"  # the requirements have changed: emptied, the mark says "to be mended"
    say "1/4 torch"
    install_torch
    say "2/4 the $STACK stack: mmengine, mmcv, mmsegmentation"
    install_stack
fi
EXTRA="${EXTRAS[$LEVEL]}"
say "3/4 this plugin${EXTRA:+ and what $EXTRA needs}"
if [ -n "$EXTRA" ]; then  # the tests build the configs with its backbones
    [ "$STACK" = fork ] && EXTRA="$EXTRA,mmpretrain" || EXTRA="$EXTRA,mmpretrain-upstream"
fi
(cd "$ROOT" && pip_install --editable ".${EXTRA:+[$EXTRA]}")
say "4/4 checking the environment"
repair_opencv
"$PY" "$TOOLS_DIR/check_env.py" --import "${MODULES[@]}" >&2 || die "the installation is not usable (above)."
echo "$HASH $LEVEL" >"$READY"
FINISHED=1
say "ready in $SECONDS s: $VENV"
echo "$PY"
