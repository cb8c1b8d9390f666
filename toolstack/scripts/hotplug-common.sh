# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the network and vif scripts share. To be sourced. Nothing that comes from xenstore, the environment or the command line reaches
# another program before it has been looked at by one of the is_... functions.
# shellcheck disable=SC2034 # for those that source this
RUN=${XEN_RUN_DIR:-/run/xen}/network
program=${0##*/}

# For people; xend shows the last line.
fatal() {
    echo "$program: $*" >&2
    exit 1
}

# A name that Linux takes for a network device and that needs no quoting anywhere.
is_device() {
    case $1 in
    '' | . | .. | -* | *[!A-Za-z0-9._:-]* | ????????????????*) return 1 ;;
    esac
}

is_mac() {
    case $1 in
    *[!0-9A-Fa-f:]*) return 1 ;;
    ??:??:??:??:??:??) return 0 ;;
    esac
    return 1
}

# Four numbers, each without sign, up to 255.
is_ipv4() {
    case $1 in
    *[!0-9.]* | *.*.*.*.* | .* | *. | *..*) return 1 ;;
    *.*.*.*) ;;
    *) return 1 ;;
    esac
    ipv4_rest=$1.
    while [ -n "$ipv4_rest" ]; do
        ipv4_part=${ipv4_rest%%.*}
        ipv4_rest=${ipv4_rest#*.}
        case $ipv4_part in
        ???? | 0?*) return 1 ;;
        esac
        [ "$ipv4_part" -le 255 ] || return 1
    done
}

is_bridge() {
    [ -d "/sys/class/net/$1/bridge" ]
}

exists() {
    [ -e "/sys/class/net/$1" ]
}

# $1: a program; $2: its Debian package; $3: what is wanted of it.
need() {
    command -v "$1" >/dev/null || fatal "$3 needs the program '$1': install Debian's package $2"
}
