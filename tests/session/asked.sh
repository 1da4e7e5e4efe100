#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A hypervisor's ForceCommand in tests: asked.sh DIR runs what sshd was asked to run, and leaves in DIR the words as sshd got
# them (PID.command) and how it ended (PID.status). It knows nothing of the gateway, so that the trail can be compared with it.
mkdir -p "$1"
printf %s "$SSH_ORIGINAL_COMMAND" >"$1/$$.command"
case $SSH_ORIGINAL_COMMAND in
*sftp-server | internal-sftp) /usr/lib/openssh/sftp-server ;;
*) "$SHELL" -c "$SSH_ORIGINAL_COMMAND" ;;
esac
status=$?
echo $status >"$1/$$.status"
exit $status
