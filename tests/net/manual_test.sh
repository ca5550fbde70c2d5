#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual says what the programs do, and nothing else: each command, option and exit code of their tables stands in its
# page, each option of a page is known to its program, the examples are understood. And the completion, in a bash.
source "$(dirname "$0")/lib.sh"

pages="sortie.1 sortied.8 sortie-control.8 sortie-relay-load.8 sortie-guard.8 sortie-policy.5"
if command -v scdoc >/dev/null; then
	for page in $pages; do
		check "$page is made" eval 'scdoc <"$ROOT/man/$page.scd" >"$T/$page"'
	done
else
	skip "pages are made" "scdoc is not installed"
fi
lint() { # scdoc writes paragraph macros too many; nothing else may be said
	! mandoc -Tlint -W warning "$T/$1" 2>&1 | grep -v "skipping paragraph macro"
}
if command -v mandoc >/dev/null && [[ -s $T/sortie.1 ]]; then
	for page in $pages; do check "$page: mandoc has nothing to say" lint "$page"; done
else
	skip "mandoc has nothing to say" "mandoc or scdoc is not installed"
fi

# ---- options: "--name" of a help text against "*--name*" of a page, in both directions
help_options() { # COMMAND
	# shellcheck disable=SC2086 # words
	"$B/sortie" help $1 | grep '^  --' | options
}
options() { grep -oE -e '(^|[^a-z-])--[a-z][a-z0-9-]*' | grep -oE -e '--.*' | sort -u; }
of_page() { # FILE...: those that a page explains: bold, at the start of a line
	grep -hoE '^\s*(\*-[a-z]\*, )?\*(sortie[a-z-]* )?--[a-z0-9-]+\*' "$@" | options
}
same_options() { # PAGE < HELP
	diff <(options) <(of_page "$ROOT/man/$1.scd") || return 1
}
check "sortied.8: the options of sortied" same_options sortied.8 < <("$B/sortied" --help)
check "sortie-control.8: the options of sortie-control" same_options sortie-control.8 < <("$B/sortie-control" --help)
check "sortie-relay-load.8: the options of sortie-relay-load" same_options sortie-relay-load.8 < <("$B/sortie-relay-load" --help)
check "sortie-guard.8: the options of sortie-guard" same_options sortie-guard.8 < <("$B/sortie-guard" --help)

# ---- what is wrong with a command line is one line that says where help is, and nothing else happens
usage_line() { # PATTERN COMMAND...
	local pattern=$1 rc
	shift
	"$@" >"$T/out" 2>&1
	rc=$?
	[[ $rc -eq 2 && $(wc -l <"$T/out") -eq 1 ]] && grep -qE -e "^${1##*/}.*: $pattern" "$T/out" || { echo "exit $rc"; cat "$T/out"; return 1; }
}
for p in sortied "sortie-control run" sortie-relay-load sortie-guard; do
	program=${p%% *} words=("$B/${p%% *}")
	[[ $p == "$program" ]] || words+=("${p#* }")
	check "$program: an unknown option: exit 2" usage_line "no option --nonsense.*: see $program --help" "${words[@]}" --nonsense
	check "$program: a value that is missing: exit 2" usage_line "no option --[a-z]+, or its value is missing: see $program --help" "${words[@]}" "--$([[ $program == sortie-relay-load ]] && echo bpffs || echo state)"
	check "$program: --version" eval '[[ $("$B/$program" --version) == "$program "[0-9]* ]]'
done
check "sortie: --version" eval '[[ $("$B/sortie" --version) == "sortie "[0-9]* ]]'
check "sortie: an unknown option: exit 2" usage_line "no option --nonsense: see sortie help" "$B/sortie" --nonsense
check "sortied: one thing at a time: exit 2" usage_line "--plan, --remove, --doctor and --leave are one at a time" "$B/sortied" --leave --doctor

# ---- sortie.1: a heading for each command, its options under it or named with it
commands=$("$B/sortie" help | sed -n '/^$/,/^$/s/^  \([a-z]\+\( [a-z]\+\)\?\)  .*/\1/p')
section() { # COMMAND: its heading and what stands under it
	awk -v head="*sortie $1*" 'index($0, head) == 1 { on = 1; print; next } /^[*#]/ { on = 0 } on' "$ROOT/man/sortie.1.scd"
}
common=$("$B/sortie" help | sed -n '/^With every/,$p' | options)
complete_section() { # COMMAND
	local o text
	text=$(section "$1")
	[[ $text ]] || { echo "no heading"; return 1; }
	for o in $(help_options "$1" | grep -vxF "$common"); do
		grep -qF -e "*$o*" <<<"$text" || { echo "no $o"; return 1; }
	done
	for o in $(options <<<"$text"); do
		help_options "$1" | grep -qxF -e "$o" || [[ $text == *"*sortied $o*"* ]] || { echo "$o is none of its options"; return 1; }
	done
}
while read -r c; do
	check "sortie.1: $c, with its options" complete_section "$c"
done <<<"$commands"
check "sortie.1: as many headings as commands" test "$(grep -c '^\*sortie [a-z]' "$ROOT/man/sortie.1.scd")" -eq "$(wc -l <<<"$commands")"
for o in $common; do check "sortie.1: $o" grep -q "^\*$o\*" "$ROOT/man/sortie.1.scd"; done
exit_codes() { diff <("$B/sortie" help | tr '\n' ' ' | sed 's/.*Exit codes: //' | grep -oE '[0-9] [a-z]' | cut -c1) <(sed -n '/^# EXIT STATUS/,/^# ENV/s/^\*\([0-9]\)\*$/\1/p' "$ROOT/man/sortie.1.scd"); }
check "sortie.1: the exit codes" exit_codes
for page in $pages; do
	for other in $(grep -oE '\*sortie[a-z-]*\*\([0-9]\)' "$ROOT/man/$page.scd" | tr -d '*' | sort -u); do
		name=${other%(*} number=${other: -2:1}
		check "$page: $other is there" test -e "$ROOT/man/$name.$number.scd"
	done
done

# ---- examples
blocks() { awk '/^```/ { on = !on; n += on; next } on { print > (dir "/" n) }' dir="$2" "$ROOT/man/$1.scd"; }
mkdir "$T/policies" "$T/lines"
blocks sortie-policy.5 "$T/policies"
check "sortie-policy.5: three examples" test "$(ls "$T/policies" | wc -l)" -eq 3
valid() { # FILE: what its tests say needs identities: only the language counts
	local rc
	sed '/^tests:/,$d' "$1" >"$1.yaml"
	"$B/sortie" --control "$T/none.sock" policy check "$1.yaml" >"$T/out" 2>&1
	rc=$?
	[[ $rc -eq 0 || $rc -eq 5 ]] && ! grep -qE '\.yaml:[0-9]+:[0-9]+: ' "$T/out" || { cat "$T/out"; return 1; }
}
for f in "$T"/policies/?; do check "sortie-policy.5: example ${f##*/} is a policy" valid "$f"; done
sed -i 's/tcp\/22/tcp\/70000/' "$T/policies/2"
check_not "an example that is wrong would be found" valid "$T/policies/2"
blocks sortie.1 "$T/lines"
understood() { # LINE: the command and its options are known
	local words
	eval "words=($1)"
	"$B/${words[0]}" "${words[@]:1}" --help >/dev/null
}
while read -r line; do
	check "sortie.1: $line" understood "$line"
done < <(cat "$T"/lines/* | sed -n 's/ | .*//; /^sortie/p')
check_not "a line that is wrong would be found" understood "sortie token create --nonsense"

# ---- completion
"$B/sortie" completion bash >"$T/completion"
check "completion: bash reads it" bash -n "$T/completion"
completes() { # WANTED WORD...: the last word is the one at the cursor, split as bash splits
	local wanted=$1
	shift
	diff <(bash -c '
		source "$1"
		shift
		[[ $(complete -p sortie) == "complete -F _sortie sortie" ]] || exit 1
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_sortie && printf "%s\n" "${COMPREPLY[@]}"' - "$T/completion" "$@" | sort | xargs) <(tr ' ' '\n' <<<"$wanted" | sort | xargs)
}
first=$(cut -d' ' -f1 <<<"$commands" | sort -u | xargs)
check "completion: all commands" completes "$first" sortie ""
check "completion: of a beginning" completes "token" sortie tok
for noun in token identity policy; do
	check "completion: the commands of $noun" completes "$(sed -n "s/^$noun //p" <<<"$commands" | xargs)" sortie $noun ""
done
while read -r c; do
	# shellcheck disable=SC2086 # words
	check "completion: the options of $c" completes "$(help_options "$c" | xargs)" sortie $c --
done <<<"$commands"
check "completion: --check" completes "live ready" sortie status --check ""
check "completion: mode" completes "enforce overlay" sortie mode ""
check "completion: --check=" completes "live ready" sortie status --check =
check "completion: --check=r" completes "ready" sortie status --check = r
check "completion: behind an option with a value" completes "--check --control" sortie --socket /x status --c
check "completion: --token" completes "file:" sortie enroll --token ""
touch "$T/web.token" "$T/web.policy"
cd "$T" || exit 1
check "completion: --token file:" completes "web.policy web.token" sortie enroll --token file : web
check "completion: --token=file:" completes "web.token" sortie enroll --token = file : web.t
check "completion: policy check" completes "web.policy" sortie policy check web.p
check "completion: behind a file: with a secret" completes "web.policy" sortie policy apply --key file : k web.p
check "completion: a name is not guessed" completes "" sortie identity show ""
check "completion: what no command is" completes "" sortie nonsense ""
refused_shell() { "$B/sortie" completion tcsh 2>&1 | grep -q "for bash, zsh and fish, not for \"tcsh\""; }
check "completion: another shell" refused_shell

# zsh's own functions are played here: what they are given decides, and what compset takes off in front of it.
cat >"$T/zsh" <<'ZSH'
compdef() { :; }
compset() { rest=${rest#${~2}}; }
compadd() { while [[ $1 != -- ]]; do shift; done; shift; for w; do [[ $w != $rest* ]] || print -r -- $w; done; }
_files() { print -rl -- $rest*(N); }
source $1
words=(${(z)2})
[[ $2 != *' ' ]] || words+=('')
CURRENT=$#words rest=$words[-1]
_sortie
true
ZSH
in_zsh() { zsh -f "$T/zsh" "$T/completion.zsh" "$1"; }
in_fish() { # without what an option's value is written behind, as zsh says it
	HOME=$T fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$T/completion.fish" "$1" | cut -f1 | sed 's/^--[a-z-]*=//; s/^file:\(.\)/\1/'
}
offers() { # SHELL WANTED LINE
	diff <("in_$1" "$3" | sort | xargs) <(tr ' ' '\n' <<<"$2" | sort | xargs)
}
with_common() { { help_options "$1"; options <<<"$common"; } | sort -u | xargs; }
for shell in zsh fish; do
	if ! command -v $shell >/dev/null; then
		skip "completion: $shell" "$shell is not installed"
		continue
	fi
	"$B/sortie" completion $shell >"$T/completion.$shell"
	check "$shell completion: read" $shell -n "$T/completion.$shell"
	check "$shell completion: all commands" offers $shell "$first" "sortie "
	check "$shell completion: of a beginning" offers $shell token "sortie tok"
	for noun in token identity policy; do
		check "$shell completion: the commands of $noun" offers $shell "$(sed -n "s/^$noun //p" <<<"$commands" | xargs)" "sortie $noun "
	done
	while read -r c; do check "$shell completion: the options of $c" offers $shell "$(with_common "$c")" "sortie $c --"; done <<<"$commands"
	while IFS='|' read -r wanted line; do check "$shell completion: $line" offers $shell "$wanted" "$line"; done <<-'CASES'
		live ready|sortie status --check 
		ready|sortie status --check=r
		enforce overlay|sortie mode 
		bash zsh fish|sortie completion 
		--check --control|sortie --socket /x status --c
		file:|sortie enroll --token 
		web.policy web.token|sortie enroll --token file:web
		web.token|sortie enroll --token=file:web.t
		web.policy|sortie policy check web.p
		web.policy|sortie policy apply --key file:k web.p
		|sortie identity show 
		|sortie nonsense 
	CASES
done
if command -v zsh >/dev/null; then # once with the real ones: a terminal, Tab, and what the line is then
	mkdir "$T/fpath" && cp "$T/completion.zsh" "$T/fpath/_sortie"
	cat >"$T/terminal" <<-'ZSH'
		zmodload zsh/zpty
		zpty z "TERM=dumb PS1= zsh -f -i"
		zpty -w z "fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; show() { print -r -- \"<\$BUFFER>\"; BUFFER=; }; zle -N show; bindkey '^X' show; print rea'dy'"
		zpty -r -m z line '*ready*'
		zpty -w -n z $'sortie tok\t\x18'
		zpty -r -m z line '*<sortie*>*'
		[[ $line == *"<sortie token >"* ]] || { print -r -- $line; exit 1; }
	ZSH
	check "zsh completion: in a terminal, from a folder of completions" timeout $((10 * TEST_SCALE)) zsh -f "$T/terminal" "$T/fpath"
fi
finish
