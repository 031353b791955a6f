/* What the stand-in for librockchip_mpp is made of: MPP's types, what it keeps, and what the tests ask it. Included by
 * stand_in.c alone. */

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef WITH_ROCKCHIP_HEADERS
#include "rk_mpi.h"
#include "rk_venc_cfg.h"
#include "rk_venc_cmd.h"
#include "rk_venc_rc.h"
#include "mpp_buffer.h"
#include "mpp_frame.h"
#include "mpp_packet.h"
#else
typedef int32_t RK_S32;
typedef uint32_t RK_U32;
typedef void *MppCtx, *MppParam, *MppFrame, *MppPacket, *MppBuffer, *MppBufferGroup, *MppEncCfg;
typedef int MPP_RET, MppCtxType, MppCodingType, MpiCmd, MppFrameFormat, MppBufferType, MppBufferMode;

typedef struct {
    RK_U32 size, version;
    void *before[4];
    MPP_RET (*encode_put_frame)(MppCtx, MppFrame);
    MPP_RET (*encode_get_packet)(MppCtx, MppPacket *);
    void *between[7];
    MPP_RET (*control)(MppCtx, MpiCmd, MppParam);
    RK_U32 reserved[16];
} MppApi;

typedef struct {
    MppBufferType type;
    size_t size;
    void *ptr, *hnd;
    int fd, index;
} MppBufferInfo;
#endif

/* What the tests read. */

enum { CONTEXT, CONFIG, FRAME, PACKET, BUFFER, GROUP, KINDS };
static const char *const kinds[KINDS] = {"context", "config", "frame", "packet", "buffer", "group"};

enum { SETTINGS = 64, LOG = 16384, NAME = 40 };
typedef struct {
    char name[NAME];
    int value;
} Setting;

typedef struct {
    Setting all[SETTINGS];
} Settings;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int live[KINDS], made[KINDS], violations;
static char calls[LOG];
static Settings faults, settings, frame_fields;
static unsigned char *units[3], *picture;
static size_t unit_sizes[3], picture_size;

static int *find(Settings *in, const char *name, int add)
{
    for (int i = 0; i < SETTINGS; i++) {
        if (!strcmp(in->all[i].name, name))
            return &in->all[i].value;
        if (!in->all[i].name[0]) {
            if (!add)
                return NULL;
            snprintf(in->all[i].name, NAME, "%s", name);
            return &in->all[i].value;
        }
    }
    return NULL;
}

static int get(Settings *in, const char *name)
{
    int *value = find(in, name, 0);
    return value ? *value : 0;
}

static void set(Settings *in, const char *name, int new_value)
{
    int *value = find(in, name, 1);
    if (value)
        *value = new_value;
    else
        violations++;
}

static int fault(const char *name)
{
    pthread_mutex_lock(&lock);
    int value = get(&faults, name);
    pthread_mutex_unlock(&lock);
    return value;
}

static void call(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t used = strlen(calls);
    snprintf(calls + used, LOG - used, "%s%s", used ? " " : "", name);
    pthread_mutex_unlock(&lock);
}

static void *make(int kind, size_t size)
{
    pthread_mutex_lock(&lock);
    live[kind]++;
    made[kind]++;
    pthread_mutex_unlock(&lock);
    return calloc(1, size);
}

static void release(int kind, void *what)
{
    pthread_mutex_lock(&lock);
    live[kind]--;
    pthread_mutex_unlock(&lock);
    free(what);
}

static int of_kind(const int *counts, const char *kind)
{
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i], kind)) {
            pthread_mutex_lock(&lock);
            int count = counts[i];
            pthread_mutex_unlock(&lock);
            return count;
        }
    return -1;
}

int stand_in_live(const char *kind) { return of_kind(live, kind); }
int stand_in_made(const char *kind) { return of_kind(made, kind); }
int stand_in_violations(const char *unused)
{
    (void)unused;
    return violations;
}
int stand_in_setting(const char *name) { return get(&settings, name); }
int stand_in_frame(const char *name) { return get(&frame_fields, name); }
const char *stand_in_calls(void) { return calls; }
const unsigned char *stand_in_picture(void) { return picture; }
size_t stand_in_picture_size(void) { return picture_size; }
void stand_in_forget_calls(void) { calls[0] = 0; }

void stand_in_fault(const char *name, int value)
{
    pthread_mutex_lock(&lock);
    set(&faults, name, value);
    pthread_mutex_unlock(&lock);
}

/* The header (0), a key frame (1) or another picture (2). */
void stand_in_load(int which, const unsigned char *bytes, size_t size)
{
    free(units[which]);
    units[which] = malloc(size);
    memcpy(units[which], bytes, size);
    unit_sizes[which] = size;
}
