# System packages: sourced by setup.sh and image.sh, run by nobody.

# Off-screen rendering: VTK opens EGL, or OpenGL in software where there is no graphics card.
RENDERING_PACKAGES=(libegl1 libgl1 libgl1-mesa-dri)

# A WebRTC stack that is not ours (GStreamer's webrtcbin, its bindings, an X server and a program for the examples);
# debootstrap makes the root that image.sh runs in, redis-server holds the shared state, libfaketime skews clocks.
TEST_PACKAGES=(
    debootstrap libfaketime nginx
    gir1.2-gst-plugins-bad-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-nice
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    python3-gi python3-websockets redis-server redis-tools x11-apps xvfb
)

# Prints those of the named Debian packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query --show --showformat '${Status}\n' "$package" 2>/dev/null | grep --quiet ' installed$' || echo "$package"
    done
}

# Installs the named packages through apt when root; else one line says what to install, and the status is 1.
require_packages() {
    local purpose=$1
    shift
    if ! command -v dpkg-query >/dev/null; then
        echo "$purpose: this is not Debian or Ubuntu; install what these packages hold there: $*" >&2
        return 1
    fi
    local missing
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id --user)" -ne 0 ]; then
        echo "$purpose: please run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    echo "$purpose: installing ${missing[*]}"
    # A source of the machine's own that is down must not stop this: the install below judges.
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update --quiet=2 || true
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install --yes --quiet=2 --no-install-recommends \
        "${missing[@]}" >/dev/null
}
