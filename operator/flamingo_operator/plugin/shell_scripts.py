"""The scripts of `kubectl flamingo completion`, for the executable `kubectl-flamingo` itself.

`kubectl flamingo` needs none of them: kubectl's own completion runs `kubectl_complete-flamingo`.

Pure.
"""

BASH = """\
# Completion of kubectl-flamingo for bash: source <(kubectl flamingo completion bash)
_kubectl_flamingo() {
    local IFS=$'\\n' line words
    IFS=' ' read -r -a words <<< "${COMP_LINE:0:COMP_POINT}x"
    words[${#words[@]}-1]=${words[${#words[@]}-1]%x}
    COMPREPLY=()
    while read -r line; do
        [[ $line == :* ]] || COMPREPLY+=("${line%%$'\\t'*}")
    done < <(kubectl_complete-flamingo "${words[@]:1}" 2>/dev/null)
    # readline replaces only what follows the last = of the word.
    local last=${words[${#words[@]}-1]}
    if [[ $last == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${last%%=*}="}")
    fi
}
complete -o default -F _kubectl_flamingo kubectl-flamingo
"""
ZSH = """\
#compdef kubectl-flamingo
# Completion of kubectl-flamingo for zsh: source <(kubectl flamingo completion zsh)
_kubectl_flamingo() {
    local line
    local -a described
    for line in "${(@f)$(kubectl_complete-flamingo "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ $line == :* ]] || described+=("${${line//:/\\\\:}/$'\\t'/:}")
    done
    _describe 'kubectl-flamingo' described || _files
}
compdef _kubectl_flamingo kubectl-flamingo
"""
FISH = """\
# Completion of kubectl-flamingo for fish: kubectl flamingo completion fish | source
function __kubectl_flamingo
    set -l words (commandline -opc) (commandline -ct)
    kubectl_complete-flamingo $words[2..] 2>/dev/null | string match -v ':*'
end
complete -c kubectl-flamingo -a '(__kubectl_flamingo)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
