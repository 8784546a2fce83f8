/** The completion scripts of `chaos completion`. Each asks `chaos complete -- WORDS` what can come next. */

export type Shell = "bash" | "zsh" | "fish";

/** Lines that ask the shell to complete paths itself; no candidate begins with a colon. */
export const FILES = ":files";
export const FOLDERS = ":folders";

/** The first word finds the program, so that a path works, too. Errors never reach the command line. */
const BASH = `# bash completion for chaos: source <(chaos completion bash)
_chaos_complete() {
  local line cur="\${COMP_WORDS[COMP_CWORD]}" program="\${COMP_WORDS[0]/#\\~/$HOME}"
  # "=" is a word of its own in bash.
  [[ $cur == "=" ]] && cur=""
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      ${FILES} | ${FOLDERS})
        compopt -o filenames 2>/dev/null
        local kind=-f path
        [[ $line == ${FOLDERS} ]] && kind=-d
        while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$kind" -- "$cur")
        ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("$program" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
}
complete -F _chaos_complete chaos
`;

const ZSH = `#compdef chaos
# zsh completion for chaos: source <(chaos completion zsh), or this text as _chaos in a folder of $fpath
_chaos() {
  local line files folders
  local -a described
  for line in "\${(@f)$("\${words[1]/#\\~/$HOME}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)}"; do
    case $line in
      "") ;;
      ${FILES}) files=1 ;;
      ${FOLDERS}) folders=1 ;;
      *) described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( $#described )) && _describe -V chaos described
  [[ -n $files ]] && _files
  [[ -n $folders ]] && _files -/
  return 0
}
if [[ $funcstack[1] == _chaos ]]; then _chaos "$@"; else compdef _chaos chaos; fi
`;

const FISH = `# fish completion for chaos: chaos completion fish > ~/.config/fish/completions/chaos.fish
function __chaos_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program $before[1]
    set -e before[1]
    for line in (command $program complete -- $before "$current" 2>/dev/null </dev/null)
        switch $line
            case '${FILES}'
                __fish_complete_path "$current"
            case '${FOLDERS}'
                __fish_complete_directories "$current" folder
            case '*'
                echo $line
        end
    end
end
complete -c chaos -e
complete -c chaos -f -a '(__chaos_complete)'
`;

export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH }[shell];
}
