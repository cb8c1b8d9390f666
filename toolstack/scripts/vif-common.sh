# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the scripts of guests' interfaces share. To be sourced after hotplug-common.sh. Their contract: the environment has XENBUS_PATH (the
# backend's directory in xenstore) and vif (the interface's name); the argument is online or offline; the outcome is written to xenstore.

# A node of the backend; nothing when it is absent. xend gives those there are in the environment (and `script` in any case): then
# there is nothing to ask for.
node() {
    [ -z "${script-}" ] || return 0
    xenstore-read "$XENBUS_PATH/$1" 2>/dev/null || true
}

# shellcheck disable=SC2154 # program: hotplug-common.sh
vif_fatal() {
    xenstore-write "$XENBUS_PATH/hotplug-error" "$program: $*" "$XENBUS_PATH/hotplug-status" error 2>/dev/null || true
    fatal "$@"
}

connected() {
    xenstore-write "$XENBUS_PATH/hotplug-status" connected || fatal "xenstore does not take the outcome"
}

disconnected() {
    xenstore-rm "$XENBUS_PATH/hotplug-status" 2>/dev/null || true
}

# A name of the user's own for the interface (vifname= in the guest's configuration).
rename_vif() {
    new_name=${vifname:-$(node vifname)}
    if [ -z "$new_name" ] || [ "$new_name" = "$vif" ]; then
        return
    fi
    is_device "$new_name" || vif_fatal "vifname '$new_name' is no name of a device"
    if exists "$vif"; then
        ip link set dev "$vif" down
        ip link set dev "$vif" name "$new_name" || vif_fatal "$vif cannot be called $new_name"
    fi
    vif=$new_name
}

# Calls online or offline of the script.
vif_main() {
    action=
    for word; do
        case $word in
        online | add) action=online ;;
        offline | remove) action=offline ;;
        type_if=vif) ;;
        *) fatal "'$word' is not known: say online or offline" ;;
        esac
    done
    XENBUS_PATH=${XENBUS_PATH-}
    vif=${vif-}
    bridge=${bridge-}
    mac=${mac-}
    ip=${ip-}
    case $XENBUS_PATH in
    '' | -*) fatal "XENBUS_PATH is not set: xend runs this script" ;;
    esac
    is_device "$vif" || fatal "vif='$vif' is no name of a device: xend runs this script"
    # shellcheck disable=SC2034 # of vif-bridge
    table=xen_$(echo "$vif" | tr -c 'A-Za-z0-9\n' _)
    [ -n "$action" ] || fatal "say online or offline"
    "$action"
}
