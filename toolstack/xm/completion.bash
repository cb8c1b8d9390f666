# SPDX-License-Identifier: MIT
# bash completion of xm: commands, domains, configurations, options.

_xm_domains() {
    mapfile -t COMPREPLY < <(compgen -W "$(xm list --quiet 2>/dev/null)" -- "$1")
}

_xm_guests() {
    mapfile -t COMPREPLY < <(compgen -W "$(xm list --quiet 2>/dev/null | grep -vx Domain-0)" -- "$1")
}

# Configurations by their bare names, or any file
_xm_configs() {
    local directory=${XM_CONFIG_DIR:-/etc/xen} names
    names=$(find "$directory" -maxdepth 1 -type f ! -name '*.sxp' ! -name '.*' -printf '%f\n' 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$1"; compgen -f -- "$1")
}

_xm_words() {
    mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

_xm() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
    local commands='create list console destroy shutdown reboot pause unpause domid domname rename info dmesg log uptime vcpu-list help'

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        _xm_words "$current" "$commands"
        return
    fi
    case $command:$current in
    create:-*) _xm_words "$current" '--console --paused --dryrun --quiet --defconfig --help' ;;
    list:-*) _xm_words "$current" '--long --json --quiet --help' ;;
    shutdown:-* | reboot:-*) _xm_words "$current" '--all --wait --help' ;;
    dmesg:-*) _xm_words "$current" '--clear --help' ;;
    *:-*) _xm_words "$current" '--help' ;;
    create:*) _xm_configs "$current" ;;
    help:*) _xm_words "$current" "$commands" ;;
    list:* | uptime:* | vcpu-list:* | domid:*) _xm_domains "$current" ;;
    console:* | destroy:* | shutdown:* | reboot:* | pause:* | unpause:*) _xm_guests "$current" ;;
    rename:*) [ "$COMP_CWORD" -ne 2 ] || _xm_guests "$current" ;;
    esac
}

complete -o filenames -F _xm xm
