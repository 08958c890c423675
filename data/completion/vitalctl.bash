# SPDX-License-Identifier: MIT
# bash completion for vitalctl(1)

# The first column of `vitalctl list`, asked of the vitald that the command line means.
_vitalctl_checks() {
        vitalctl "${_vitalctl_where[@]}" list 2>/dev/null | sed '1d; s/ .*//'
}

_vitalctl_services() {
        _vitalctl_checks | sed 's,/.*,,; t; s/.*/default/' | sort -u
}

_vitalctl() {
        local words cword=0 i verb="" n=0 cur _vitalctl_where=()
        local options='--help --version --runtime-directory= --bus= --no-pager'
        local looks='status list show history why watch'
        local verbs="$looks is-ready wait follow run drain undrain reset-restarts override
                clear-override report reload verify probe"

        # The words as the shell sees them, not cut at = and :.
        read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
        [[ ${COMP_LINE:0:COMP_POINT} != *' ' ]] || words+=('')
        cword=$((${#words[@]} - 1)) cur=${words[cword]}
        for ((i = 1; i < cword; i++)); do
                case ${words[i]} in
                --runtime-directory=* | --bus=*) _vitalctl_where+=("${words[i]}") ;;
                -*) ;;
                *) [[ $verb ]] && n=$((n + 1)) || verb=${words[i]} ;;
                esac
        done

        case " $looks run " in *" ${verb:-status} "*) options+=' --json=' ;; esac
        case $verb in
        wait) options+=' --ready --started --live --timeout= --quiet' ;;
        follow) options+=' --ready --started --live --quiet' ;;
        is-ready) options+=' --quiet' ;;
        drain) options+=' --all --wait --connections= --count= --timeout= --reason=' ;;
        undrain) options+=' --all' ;;
        override) options+=' --timeout= --reason=' ;;
        report) options+=' --value=' ;;
        verify) options+=' --root= --strict --json=' ;;
        esac

        case $cur in
        --json=*) options='--json=short --json=pretty' ;;
        --bus=*) options='--bus=system --bus=user' ;;
        --runtime-directory=* | --root=*)
                mapfile -t COMPREPLY < <(compgen -d -P "${cur%%=*}=" -- "${cur#*=}") ;;
        esac
        case $cur in
        --runtime-directory=* | --root=*) ;;
        -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur") ;;
        *)
                local choices=""
                case $verb:$n in
                :*) choices=$verbs ;;
                status:0 | why:0 | watch:0 | is-ready:0 | wait:0 | follow:0 | drain:0 | undrain:0 | \
                        reset-restarts:0)
                        choices=$(_vitalctl_services) ;;
                show:0 | history:0 | run:0 | override:0 | clear-override:0 | report:0)
                        choices=$(_vitalctl_checks) ;;
                override:1) choices='healthy degraded unhealthy' ;;
                report:1) choices='pass warn fail' ;;
                esac
                mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur") ;;
        esac

        # The shell replaces only what stands behind the last of its word breaks.
        local head=${cur%"${cur##*[=:]}"}
        [[ $COMP_WORDBREAKS == *[=:]* ]] || head=
        COMPREPLY=("${COMPREPLY[@]#"$head"}")
        [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

complete -F _vitalctl vitalctl
