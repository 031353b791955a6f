/* A stand-in for librockchip_mpp, for tests on machines without a Rockchip chip: it encodes nothing. It keeps the
 * calls and settings that it gets, counts what is made and released, gives out units that the test loaded, and fails
 * on request. It shows the order of the agent's calls and what becomes of its buffers, never what a chip does.
 *
 * Built by the tests in agent/src/media/video/encoder/mpp: with the agent's own values (-DMPP_...=...), or against
 * Rockchip's headers (-DWITH_ROCKCHIP_HEADERS), whose prototypes the compiler then compares with these functions. */

#include "stand_in.h"

/* Settings. */

MPP_RET mpp_enc_cfg_init(MppEncCfg *cfg)
{
    *cfg = make(CONFIG, sizeof(Settings));
    return MPP_OK;
}

MPP_RET mpp_enc_cfg_deinit(MppEncCfg cfg)
{
    release(CONFIG, cfg);
    return MPP_OK;
}

MPP_RET mpp_enc_cfg_set_s32(MppEncCfg cfg, const char *name, RK_S32 value)
{
    if (!strchr(name, ':') || fault(name))
        return MPP_NOK;
    set(cfg, name, value);
    return MPP_OK;
}

/* Buffers. */

typedef struct {
    unsigned char *memory;
    size_t size;
    int references, fd, writing;
} Buffer;

MPP_RET mpp_buffer_group_get(MppBufferGroup *group, MppBufferType type, MppBufferMode mode, const char *tag,
                             const char *caller)
{
    if (type != MPP_BUFFER_TYPE_DRM || mode != MPP_BUFFER_INTERNAL || !tag || !caller)
        return MPP_ERR_VALUE;
    *group = make(GROUP, 1);
    return MPP_OK;
}

MPP_RET mpp_buffer_group_put(MppBufferGroup group)
{
    release(GROUP, group);
    return MPP_OK;
}

MPP_RET mpp_buffer_get_with_tag(MppBufferGroup group, MppBuffer *buffer, size_t size, const char *tag,
                                const char *caller)
{
    call("allocate");
    if (!group || !tag || !caller || fault("allocate"))
        return MPP_ERR_MALLOC;
    Buffer *made_one = make(BUFFER, sizeof(Buffer));
    *made_one = (Buffer){calloc(1, size), size, 1, -1, 0};
    *buffer = made_one;
    return MPP_OK;
}

MPP_RET mpp_buffer_import_with_tag(MppBufferGroup group, MppBufferInfo *info, MppBuffer *buffer, const char *tag,
                                   const char *caller)
{
    call("import");
    if (group || info->type != MPP_BUFFER_TYPE_DRM || info->ptr || info->hnd || !tag || !caller)
        return MPP_ERR_VALUE;
    int fd = fault("import") ? -1 : dup(info->fd);
    if (fd < 0)
        return MPP_ERR_MALLOC;
    Buffer *made_one = make(BUFFER, sizeof(Buffer));
    *made_one = (Buffer){NULL, info->size, 1, fd, 0};
    *buffer = made_one;
    return MPP_OK;
}

static void unreference(Buffer *buffer)
{
    if (--buffer->references)
        return;
    free(buffer->memory);
    if (buffer->fd >= 0)
        close(buffer->fd);
    release(BUFFER, buffer);
}

MPP_RET mpp_buffer_put_with_caller(MppBuffer buffer, const char *caller)
{
    (void)caller;
    unreference(buffer);
    return MPP_OK;
}

void *mpp_buffer_get_ptr_with_caller(MppBuffer buffer, const char *caller)
{
    (void)caller;
    return ((Buffer *)buffer)->memory;
}

/* What is written between the two is what the encoder sees. */

MPP_RET mpp_buffer_sync_begin_f(MppBuffer buffer, RK_S32 read_only, const char *caller)
{
    violations += read_only || !caller || ((Buffer *)buffer)->writing;
    ((Buffer *)buffer)->writing = 1;
    return MPP_OK;
}

MPP_RET mpp_buffer_sync_end_f(MppBuffer buffer, RK_S32 read_only, const char *caller)
{
    violations += read_only || !caller || !((Buffer *)buffer)->writing;
    ((Buffer *)buffer)->writing = 0;
    return MPP_OK;
}

/* Frames. */

typedef struct Frame {
    Settings fields;
    Buffer *buffer;
    int with_encoder;
} Frame;

MPP_RET mpp_frame_init(MppFrame *frame)
{
    *frame = make(FRAME, sizeof(Frame));
    return MPP_OK;
}

MPP_RET mpp_frame_deinit(MppFrame *frame)
{
    Frame *old = *frame;
    violations += old->with_encoder;
    if (old->buffer)
        unreference(old->buffer);
    release(FRAME, old);
    *frame = NULL;
    return MPP_OK;
}

static void field(MppFrame frame, const char *name, int value) { set(&((Frame *)frame)->fields, name, value); }

void mpp_frame_set_width(MppFrame frame, RK_U32 value) { field(frame, "width", (int)value); }
void mpp_frame_set_height(MppFrame frame, RK_U32 value) { field(frame, "height", (int)value); }
void mpp_frame_set_hor_stride(MppFrame frame, RK_U32 value) { field(frame, "stride", (int)value); }
void mpp_frame_set_ver_stride(MppFrame frame, RK_U32 value) { field(frame, "rows", (int)value); }
void mpp_frame_set_fmt(MppFrame frame, MppFrameFormat value) { field(frame, "format", (int)value); }

void mpp_frame_set_buffer(MppFrame frame, MppBuffer buffer)
{
    ((Frame *)frame)->buffer = buffer;
    ((Buffer *)buffer)->references++;
}

/* Packets. */

typedef struct {
    unsigned char *memory;
    size_t length;
    int owned;
} Packet;

MPP_RET mpp_packet_init(MppPacket *packet, void *data, size_t size)
{
    Packet *made_one = make(PACKET, sizeof(Packet));
    *made_one = (Packet){data, size, 0};
    *packet = made_one;
    return MPP_OK;
}

MPP_RET mpp_packet_deinit(MppPacket *packet)
{
    Packet *old = *packet;
    if (old->owned)
        free(old->memory);
    release(PACKET, old);
    *packet = NULL;
    return MPP_OK;
}

void mpp_packet_set_length(MppPacket packet, size_t size) { ((Packet *)packet)->length = size; }
void *mpp_packet_get_pos(const MppPacket packet) { return ((Packet *)packet)->memory; }
size_t mpp_packet_get_length(const MppPacket packet) { return ((Packet *)packet)->length; }

/* Encoders. */

typedef struct {
    Settings settings;
    int input_timeout, output_timeout, initialised, header_given, idr, pictures;
    Frame *held;
    Packet *ready;
} Context;

static void take_picture(Frame *frame)
{
    Buffer *buffer = frame->buffer;
    violations += buffer->writing;
    free(picture);
    picture = calloc(1, buffer->size);
    picture_size = buffer->size;
    if (buffer->memory)
        memcpy(picture, buffer->memory, buffer->size);
    else if (pread(buffer->fd, picture, buffer->size, 0) < 0)
        violations++;
    frame_fields = frame->fields;
}

/* As in MPP, each key frame has the header in front, but the first one after the header was asked for. */
static Packet *encoded(Context *context)
{
    int gop = get(&context->settings, "rc:gop");
    int key = !context->pictures || context->idr || (gop && context->pictures % gop == 0);
    const int which = key ? 1 : 2;
    size_t header = key && !context->header_given ? unit_sizes[0] : 0;
    Packet *packet = make(PACKET, sizeof(Packet));
    *packet = (Packet){malloc(header + unit_sizes[which]), header + unit_sizes[which], 1};
    if (header)
        memcpy(packet->memory, units[0], header);
    memcpy(packet->memory + header, units[which], unit_sizes[which]);
    context->header_given = context->idr = 0;
    context->pictures++;
    return packet;
}

static MPP_RET put_frame(MppCtx ctx, MppFrame raw)
{
    Context *context = ctx;
    Frame *frame = raw;
    call("put");
    if (!context->initialised)
        return MPP_ERR_INIT;
    if (fault("put"))
        return (MPP_RET)fault("put");
    if (fault("stall")) {
        usleep((useconds_t)context->input_timeout * 1000);
        context->held = frame;
        frame->with_encoder = 1;
        return MPP_NOK;
    }
    take_picture(frame);
    context->ready = encoded(context);
    return MPP_OK;
}

static MPP_RET get_packet(MppCtx ctx, MppPacket *packet)
{
    Context *context = ctx;
    call("get");
    *packet = NULL;
    if (fault("no packet")) {
        usleep((useconds_t)context->output_timeout * 1000);
        return MPP_OK;
    }
    if (fault("empty"))
        context->ready->length = 0;
    *packet = context->ready;
    context->ready = NULL;
    return MPP_OK;
}

static MPP_RET control(MppCtx ctx, MpiCmd command, MppParam parameter)
{
    Context *context = ctx;
    switch ((unsigned)command) {
    case MPP_SET_INPUT_TIMEOUT:
        context->input_timeout = *(int *)parameter;
        set(&settings, "input_timeout", context->input_timeout);
        return MPP_OK;
    case MPP_SET_OUTPUT_TIMEOUT:
        context->output_timeout = *(int *)parameter;
        set(&settings, "output_timeout", context->output_timeout);
        return MPP_OK;
    case MPP_ENC_GET_CFG:
        memcpy(parameter, &context->settings, sizeof(Settings));
        return MPP_OK;
    case MPP_ENC_SET_CFG:
        call("set_cfg");
        if (fault("set_cfg"))
            return (MPP_RET)fault("set_cfg");
        if (get(&context->settings, "prep:format") != get(parameter, "prep:format"))
            context->idr = 1;
        memcpy(&context->settings, parameter, sizeof(Settings));
        for (int i = 0; i < SETTINGS && context->settings.all[i].name[0]; i++)
            set(&settings, context->settings.all[i].name, context->settings.all[i].value);
        return MPP_OK;
    case MPP_ENC_SET_HEADER_MODE:
        set(&settings, "header_mode", *(int *)parameter);
        return MPP_OK;
    case MPP_ENC_SET_SEI_CFG:
        set(&settings, "sei_mode", *(int *)parameter);
        return MPP_OK;
    case MPP_ENC_SET_IDR_FRAME:
        call("idr");
        context->idr = 1;
        return parameter ? MPP_ERR_VALUE : MPP_OK;
    case MPP_ENC_GET_HDR_SYNC: {
        Packet *packet = parameter;
        call("header");
        memcpy(packet->memory + packet->length, units[0], unit_sizes[0]);
        packet->length += unit_sizes[0];
        context->header_given = 1;
        return MPP_OK;
    }
    default:
        violations++;
        return MPP_NOK;
    }
}

static MppApi api = {
    .size = sizeof(MppApi),
    .encode_put_frame = put_frame,
    .encode_get_packet = get_packet,
    .control = control,
};

MPP_RET mpp_create(MppCtx *ctx, MppApi **mpi)
{
    call("create");
    *ctx = make(CONTEXT, sizeof(Context));
    *mpi = &api;
    return MPP_OK;
}

MPP_RET mpp_init(MppCtx ctx, MppCtxType type, MppCodingType coding)
{
    call("init");
    if (fault("init"))
        return (MPP_RET)fault("init");
    set(&settings, "type", (int)type);
    set(&settings, "coding", (int)coding);
    ((Context *)ctx)->initialised = 1;
    return MPP_OK;
}

/* While it hangs, so does its caller, at most 20 s. */
MPP_RET mpp_destroy(MppCtx ctx)
{
    Context *context = ctx;
    for (int ms = 0; fault("hang") && ms < 20000; ms++)
        usleep(1000);
    if (context->held)
        context->held->with_encoder = 0;
    if (context->ready) {
        MppPacket packet = context->ready;
        mpp_packet_deinit(&packet);
    }
    release(CONTEXT, context);
    call("destroy");
    return MPP_OK;
}

MPP_RET mpp_check_support_format(MppCtxType type, MppCodingType coding)
{
    int known = coding == MPP_VIDEO_CodingAVC || coding == MPP_VIDEO_CodingHEVC;
    return type == MPP_CTX_ENC && known ? MPP_OK : MPP_NOK;
}
