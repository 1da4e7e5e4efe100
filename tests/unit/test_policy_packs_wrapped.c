/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands in wrappers, looked through by policy/wrappers.h and classified by the shipped packs.
 * For each class: what the wrapper hides must be found. */
#include <criterion/criterion.h>
#include <string.h>

#include "policy/wrappers.h"
#include "tests/unit/packs_fixture.h"

static const struct {
    const char *command, *has; /* this class among others; "-": none */
} cases[] = {
    {"sudo virsh setmem vm1 1G", "memory"},
    {"sudo -u root -- /usr/bin/virsh setmem vm1 1G", "memory"},
    {"sudo -n qm set 100 -memory 4096", "memory"},
    {"env LANG=C xl mem-s 3 1g", "memory"},
    {"sudo env OS_CLOUD=prod openstack ser resi --flavor x web1", "memory"},
    {"nohup lxc config set web1 limits.memory=2GiB", "memory"},
    {"timeout 60 govc vm.change -vm x -m 1024", "memory"},
    {"sudo virsh blockresize vm1 vda 20G", "disk"},
    {"nice -n 10 qemu-img resize vm.qcow2 +10G", "disk"},
    {"ionice -c 3 lvextend -L +10G vg/lv", "disk"},
    {"sudo qm resize 100 scsi0 +10G", "disk"},
    {"env OS_CLOUD=prod openstack vol set --size 20 v1", "disk"},
    {"sudo virsh setvcpus vm1 4", "cpu"},
    {"sudo xl vcpu-s vm1 4", "cpu"},
    {"sh -c 'virsh setvcpus vm1 4'", "cpu"},
    {"sudo virsh snapshot-create vm7", "snapshot"},
    {"sudo -u root sh -c 'virsh snapshot-create vm7'", "snapshot"},
    {"bash -lc 'cd /tmp && virsh snapshot-create vm7'", "snapshot"},
    {"bash -c 'virsh list; virsh snapshot-create vm7'", "snapshot"},
    {"sudo sudo virsh snapshot-create vm7", "snapshot"},
    {"setsid -f qm snap 100 x", "snapshot"},
    {"nohup vzdump 100", "snapshot"},
    {"timeout -s KILL 10m zfs snapshot tank/vm@s", "snapshot"},
    {"sudo lvm lvcreate -s -n x vg/lv", "snapshot"},
    {"env -i PATH=/usr/bin rbd snap create rbd/vm1@s1", "snapshot"},
    {"sudo vim-cmd vmsvc/snapshot.create 12 x", "snapshot"},
    {"stdbuf -oL cp --reflink=always a b", "snapshot"},
    {"sudo openstack vol sn cr --volume v s", "snapshot"},
    {"sudo guestfish --ro -d vm1", "read"},
    {"sudo qm guest exec 100 -- id", "read"},
    {"sudo lxc exec web1 -- id", "read"},
    {"sudo dd if=/dev/vg/lv of=/tmp/x", "read"},
    {"sudo nft flush ruleset", "isolation"},
    {"sudo iptables -F", "isolation"},
    {"sudo ovs-vsctl show -- add-port br0 p", "isolation"},
    {"sudo esxcli network firewall set --enabled false", "isolation"},
    {"sudo shred /dev/sdb", "destroy"},
    {"sudo -- nvme format /dev/nvme0n1 -s 1", "destroy"},
    {"nohup blkdiscard -z /dev/sdb", "destroy"},
    {"timeout 1h dd if=/dev/zero of=/dev/sdb", "destroy"},
    {"sudo hdparm --user-master u --security-erase X /dev/sdb", "destroy"},
    {"sudo virsh edit vm1", "raw"},
    {"sudo bash", "raw"},
    {"sudo ssh other id", "raw"},
    {"sudo virsh", "raw"},
    {"sudo virsh list", "-"},
    {"sudo virsh snapshot-list vm7", "-"},
    {"sudo echo virsh snapshot-create", "-"},
    {"env LANG=C qm list", "-"},
    {"timeout 5 lvs", "-"},
};

static int see(void *arg, const struct classification *one)
{
    *(uint32_t *)arg |= one->classes;
    return 0;
}

static int look(void *arg, const struct words *inner, unsigned depth)
{
    (void)depth;
    return packs_each(fixture_packs(), inner, see, arg, NULL);
}

Test(policy_packs_wrapped, all)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct words argv;
        uint32_t classes = 0;
        char names[256];
        bool opaque;
        cr_assert_eq(words_split(cases[i].command, strlen(cases[i].command), &argv, &e), 0,
                     "%s: %s", cases[i].command, e.text);
        cr_assert_eq(wrappers_walk(&argv, look, &classes, &opaque, &e), 0, "%s", e.text);
        fixture_class_names(fixture_packs(), classes, names);
        if (strcmp(cases[i].has, "-") == 0)
            cr_expect_eq(classes, 0u, "%s: %s", cases[i].command, names);
        else
            cr_expect(classes & packs_class(fixture_packs(), cases[i].has),
                      "%s: found %s, expected %s", cases[i].command, names, cases[i].has);
        words_clear(&argv);
    }
}
