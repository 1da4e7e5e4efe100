/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration that `sallyport init` begins with (gateway/init_examples.h). */
#include "gateway/init_examples.h"

int init_sallyport_yaml(const struct init_settings *s, struct buf *out)
{
    return buf_printf(
        out,
        "# The gateway itself; sallyport.yaml(5) explains every key. Changes need a restart of "
        "sallyportd.\n"
        "gateway: %s\n"
        "listen: [\"%s\"]\n"
        "state: %s\n"
        "runtime: %s\n"
        "# Local uids that may use the control socket (sallyport user, target, status).\n"
        "admins: [%s]\n"
        "# Who else may read recordings on this machine, with `sallyport audit`; each reading is "
        "recorded.\n"
        "readers: []\n"
        "# Who may connect at all; others are closed without a byte.\n"
        "from: [\"0.0.0.0/0\", \"::/0\"]\n"
        "# The address that hypervisors see, for from=\"...\" beside the vault's keys.\n"
        "vault-from: \"\"\n"
        "users:\n"
        "  listener: %s\n"
        "  frontend: %s\n"
        "  backend: %s\n"
        "  authd: %s\n"
        "  auditd: %s\n"
        "  reader: %s\n"
        "  courier: %s\n"
        "  firewall: %s\n",
        s->gateway, s->listen, s->state, s->runtime, s->admin, s->users[0], s->users[1],
        s->users[2], s->users[3], s->users[4], s->users[5], s->users[6], s->users[7]);
}

const char init_operators_yaml[] =
    "# Who may log in, with which SSH keys. `sallyport user add NAME --key FILE` writes an entry;\n"
    "# `sallyport user enroll NAME` gives the token for the second factor.\n"
    "#   alice:\n"
    "#     name: \"Alice Example\"\n"
    "#     keys: [\"ssh-ed25519 AAAA... alice@laptop\"]\n"
    "#     groups: [kvm-ops]\n"
    "operators: {}\n";

const char init_reviewers_yaml[] =
    "# For whom recordings are sealed: nobody else can read them. `age-keygen -o FILE` makes an\n"
    "# identity, which stays with the reviewer; `age-keygen -y FILE` prints its recipient. With\n"
    "# `keystrokes: false` a reviewer sees what was shown, not what was typed. New sessions use a\n"
    "# changed list after `systemctl reload sallyportd`, or SIGHUP. Two reviewers are advised.\n"
    "reviewers:\n";

const char init_targets_yaml[] = "# The hypervisors. `sallyport target add NAME ADDRESS` scans the "
                                 "host key and writes an entry.\n"
                                 "#   hv1:\n"
                                 "#     address: 10.20.0.11\n"
                                 "#     port: 22\n"
                                 "#     labels: {env: prod, kind: libvirt}\n"
                                 "#     host-keys: [\"ssh-ed25519 AAAA...\"]\n"
                                 "targets: {}\n";

const char init_role_example[] =
    "# An example: copy it to a name that ends in .yaml. Only files that do are read.\n"
    "# sallyport-roles(5) explains every key.\n"
    "role: kvm-operator\n"
    "description: Day-to-day work on the production hosts\n"
    "members: [group:kvm-ops]\n"
    "targets: {env: prod, kind: libvirt}\n"
    "accounts: [root]\n"
    "from: [10.20.0.0/16]\n"
    "factors: [key, totp]\n"
    "remember: 8h\n"
    "allow:\n"
    "  shell: true\n"
    "  exec: true\n"
    "  sftp: {read: [\"/var/log/**\"], write: [\"/tmp/**\"]}   # sftp, scp; true is every path\n"
    "session: {idle: 15m, max: 8h, record: strict}\n";
