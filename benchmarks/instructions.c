/* A plugin for QEMU (interface 1, as of 7.2) that counts the instructions of the program it emulates. At every
 * getppid, which a program calls for a mark, it prints how many there were since the last one. Build and use:
 * instructions.sh. The declarations are those of qemu-plugin.h, which distributions do not package. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef uint64_t word;
struct qemu_plugin_tb;
typedef void (*on_translation)(plugin_id, struct qemu_plugin_tb *);
typedef void (*on_call)(plugin_id, unsigned, int64_t, word, word, word, word, word, word, word, word);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_call);

EXPORTED int qemu_plugin_version = 1;

static uint64_t counted, marked;
static int64_t mark;

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &counted, qemu_plugin_tb_n_insns(block));
}

static void called(plugin_id id, unsigned cpu, int64_t number, word a, word b, word c, word d, word e, word f, word g,
                   word h)
{
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != mark) return;
    fprintf(stderr, "MARK %" PRIu64 "\n", counted - marked);
    marked = counted;
}

/* One argument: the number of getppid, 173 on aarch64 and 110 on x86-64. */
EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "mark=", 5)) return -1;
    mark = strtoll(argv[0] + 5, NULL, 10);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
