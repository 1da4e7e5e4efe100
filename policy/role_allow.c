/* SPDX-License-Identifier: Apache-2.0
 *
 * What a role permits: allow, programs, commands, session.
 *
 *     allow: {shell: false, exec: true}
 *     programs: {virsh: /usr/bin/virsh, tar: /usr/bin/tar}
 *     commands:
 *       - allow: "virsh list|dominfo|start|shutdown **"
 *       - allow: "virsh setvcpus <name> <int:1-64> --live"
 *       - {allow: "tar -xf - -C <path:/srv/?>", stdin: digest}
 *       - deny: class:snapshot
 *       - deny: "virsh undefine **"
 *
 * The language of the rules is in policy/pattern.h. What they mean together:
 *
 * - A role with an allow denies, for itself, what none of its allows matches. A command runs when
 * some matching role allows it and none denies it.
 * - A deny of any matching role covers the whole grant, whatever other roles allow. It looks
 * through sudo, env, sh -c and their like (policy/wrappers.h), and denies too what cannot be seen
 * through: an expansion, an unknown option of a wrapper, a script, an interpreter. Names are all
 * that it knows: a copy of virsh by another name is another program. So a deny narrows what people
 * do by habit or mistake; the boundary is an allow.
 * - A role with denies alone leaves its `exec: true` open to what else is one plain command;
 * without `exec` such a role gives nothing and only takes away; how long a code is remembered (the
 * smallest `remember` of the matching roles, none of a role without) it leaves to those that
 * permit, unless it has a `remember` of its own. Denies and a shell do not go
 * together: in one role they are an error, and from several roles the shell is taken away.
 * - A role that only denies inherits no from, when or factors of site.yaml: what makes other roles
 * narrower would make it miss, and who may come in by another role's exception (another address,
 * hour or first factor) would leave the denies behind. Its own it keeps.
 * - Under any rule a command is split by the strict grammar of policy/words.c, runs without a
 * terminal, and what is sent is its words, quoted anew. A rule on SFTP is another matter
 * (allow.sftp).
 * - `*` and `**` take no word that begins with "-": `virsh start **` allows no option. Write the
 * options
 *   (`virsh list --all`), or -* and -** for any; --check warns of those, and of what it knows
 *   to run other commands.
 *
 * commands and programs are read by policy/role_commands.c, allow.sftp by policy/role_files.c,
 * allow.forward by policy/role_forwards.c. Used
 * by authd's loader. Pure. */
#include "policy/set.h"

static int load_abilities(struct loading *l, const struct yaml_node *root, struct role *role)
{
    static const char *const known[] = {"shell", "exec", "sftp", "forward", NULL};
    const struct yaml_node *n, *value;
    int rc = yaml_require(l->doc, root, "allow", &n, l->e);

    if (rc == 0)
        rc = policy_check_keys(l, n, known);
    if (rc == 0 && (value = yaml_get(n, "shell")))
        rc = yaml_bool(l->doc, value, &role->shell, l->e);
    if (rc == 0 && (value = yaml_get(n, "exec")))
        rc = yaml_bool(l->doc, value, &role->exec, l->e);
    if (rc == 0 && (value = yaml_get(n, "sftp")))
        rc = policy_load_role_files(l, value, role);
    if (rc == 0 && (value = yaml_get(n, "forward")))
        rc = policy_load_role_forwards(l, value, role);
    if (rc == 0 && !role->shell && !role->exec && !role->files && !role->forwards &&
        !yaml_get(root, "commands")) /* with commands it may be a role that only denies */
        policy_warn(l, n, "the role %s allows neither shell nor exec nor sftp nor forward",
                    role->name);
    return rc;
}

int policy_load_role_allow(struct loading *l, const struct yaml_node *root, struct role *role)
{
    int rc = load_abilities(l, root, role);

    if (rc == 0)
        rc = policy_load_role_commands(l, root, role);
    if (rc == 0)
        rc = policy_load_role_session(l, root, role);
    return rc;
}
