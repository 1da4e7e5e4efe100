# SPDX-License-Identifier: Apache-2.0
# bash completion for sallyport(1); goes to /usr/share/bash-completion/completions

_sallyport()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
    case $COMP_CWORD in
    1) words='init setup connect login whoami user target policy source status audit help --help --version' ;;
    2)
        case $before in
        user) words='add enroll password list lock unlock forget' ;;
        target) words='add key list' ;;
        source) words='list unblock' ;;
        policy) words='check test explain who-can diff classify fmt load manifest sign verify' ;;
        audit) words='verify list show play commands files search index export prove reviewers new-log hold release prune' ;;
        help) words='init setup connect login whoami user target policy source status audit' ;;
        esac ;;
    esac
    case $before in
    --key | --identity | -i) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --previous) mapfile -t COMPREPLY < <(compgen -f -W 'auto none' -- "$word"); return ;;
    --approvers | --check | --record | --payload | --output | --prepare | --signature | --known | --database) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --for) words='list openssh putty dropbear paramiko asyncssh curl sshfs rsync git ansible libvirt' ;;
    --decision) words='allowed denied' ;;
    --class) words='shell exec sftp subsystem forward' ;;
    --speed) words='0.5 2 4 8 max' ;;
    --ability) words='shell exec sftp forward' ;;
    --factors) words='key,totp password,totp key,password,totp' ;;
    --dir | --config | --packs | --extract | --state | --runtime | --trail | --bundle | -c) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    esac
    if [[ $word == -* || -z $words ]]; then
        case ${COMP_WORDS[1]}-${COMP_WORDS[2]} in
        init-*) words='--gateway --listen --reach --admin --state --runtime --packs --users --help' ;;
        setup-*) words='--hosts --user --identity --dir --for --target --help' ;;
        login-*) words='--forget --operator --dir --help' ;;
        whoami-*) words='--operator --dir --help' ;;
        user-add) words='--key --name --group --help' ;;
        user-lock) words='--reason --help' ;;
        user-password) words='--remove --json --help' ;;
        user-list | user-enroll) words='--json --help' ;;
        target-add) words='--account --label --fingerprint --help' ;;
        target-*) words='--json --help' ;;
        policy-check) words='--no-tests --strict --json --help' ;;
        policy-test) words='--verbose --json --help' ;;
        policy-explain) words='--as --on --account --from --at --factors --remembered --run --shell --sftp-read --sftp-write --forward --json --help' ;;
        policy-who-can) words='--on --account --ability --run --from --at --json --help' ;;
        policy-diff) words='--at --exact --all --json --help' ;;
        policy-classify) words='--packs --json --help' ;;
        policy-fmt) words='--check --write --json --help' ;;
        policy-load) words='--config --json --help' ;;
        policy-manifest) words='--previous --serial --json --help' ;;
        policy-sign) words='--author --approve --key --approvers --as --previous --yes --json --help' ;;
        policy-verify) words='--approvers --previous --serial --json --help' ;;
        source-list) words='--json --help' ;;
        audit-export) words='--format --output --force --identity --keystrokes --channel --idle-limit --raw --with-recording
            --reason --recorded --trail --state --help' ;;
        audit-index) words='--identity --database --rebuild --keystrokes --reason --recorded --trail --state --help' ;;
        audit-search) words='--operator --target --session --since --until --limit --database --json --help' ;;
        audit-commands) words='--since --until --operator --target --identity --json --reason --recorded --trail --state --help' ;;
        audit-files) words='--since --until --operator --target --path --op --refused --extract --check --no-check --identity --json --reason --recorded --trail --state --help' ;;
        audit-new-log) words='--reason --help' ;;
        audit-verify) words='--bundle --log-key --anchor --known --witness --from --to --session --json --trail --state --help' ;;
        audit-reviewers) words='--json --help' ;;
        audit-list) words='--operator --target --since --until --decision --class --disputed --live --limit --json --reason --recorded --trail --state --help' ;;
        audit-show) words='--identity --keystrokes --type --from --to --follow --full --json --reason --recorded --trail --state --help' ;;
        audit-play) words='--identity --from --at --follow --channel --speed --idle-limit --keystrokes --raw --reason --recorded --trail --state --help' ;;
        audit-prove) words='--consistency --check --record --payload --witness --log-key --output --json --trail --state --help' ;;
        audit-hold) words='--reason --trail --state --help' ;;
        audit-prune) words='--prepare --before --session --reason --signature --trail --state --help' ;;
        audit-release) words='--prepare --session --reason --signature --trail --state --help' ;;
        status-*) words='--sessions --json --help' ;;
        *) words='--help' ;;
        esac
        if [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _sallyport sallyport

_sallyport_witness() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --state) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --name | --listen | --log) COMPREPLY=() ;;
    *) mapfile -t COMPREPLY < <(compgen -W "--init --name --state --listen --log --help --version" -- "$cur") ;;
    esac
}
complete -F _sallyport_witness sallyport-witness
