/* A Video4Linux device that exists for one process only: load this with LD_PRELOAD and real drivers' users (pyvirtualcam, OpenCV)
 * find it. Everything that concerns other files goes to the C library as ever.
 *
 * FAKE_V4L2_DEVICE   its path, such as /dev/video10
 * FAKE_V4L2_ROLE     "output": what v4l2loopback offers to writers; "capture": a webcam
 * FAKE_V4L2_FORMAT   file that gets the format agreed on: "width height fourcc"
 * FAKE_V4L2_FRAMES   output: file that every frame written is appended to
 * FAKE_V4L2_JPEG     capture: the picture that the webcam shows in Motion JPEG; without it, it gives raw YUYV of a growing brightness
 * FAKE_V4L2_GONE     capture: while a file of this name exists, the camera is unplugged
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BUFFERS = 4, BUFFER_BYTES = 4 << 20 };

static struct {
    int fd;                     /* what the user holds; 0: closed */
    int frames_fd;              /* where an output's frames go */
    struct v4l2_pix_format pix;
    struct v4l2_fract interval; /* of a camera's pictures, seconds */
    unsigned char *memory;      /* BUFFER_BYTES for each buffer, shared with the user through mmap of fd */
    unsigned queue[MOST_BUFFERS], queued, buffers, delivered;
} device;

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static int is_capture(void) { return !strcmp(setting("FAKE_V4L2_ROLE"), "capture"); }

static int is_gone(void) {
    struct stat status;
    return *setting("FAKE_V4L2_GONE") && stat(setting("FAKE_V4L2_GONE"), &status) == 0;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int open_device(void) {
    if (device.fd) return fail(EBUSY);
    if (is_gone()) return fail(ENOENT);
    device.fd = memfd_create("fake_v4l2", MFD_CLOEXEC);
    device.interval = (struct v4l2_fract){1, 15};
    if (is_capture()) {
        if (ftruncate(device.fd, (off_t)MOST_BUFFERS * BUFFER_BYTES) < 0) return -1;
        device.memory = mmap(NULL, (size_t)MOST_BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, 0);
    } else {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        device.frames_fd = real(setting("FAKE_V4L2_FRAMES"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    return device.fd;
}

static void close_device(void) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (device.memory) munmap(device.memory, (size_t)MOST_BUFFERS * BUFFER_BYTES);
    else real(device.frames_fd);
    memset(&device, 0, sizeof device);
}

static int query_capabilities(struct v4l2_capability *answer) {
    memset(answer, 0, sizeof *answer);
    strcpy((char *)answer->driver, is_capture() ? "uvcvideo" : "v4l2 loopback");
    strcpy((char *)answer->card, is_capture() ? "Fake webcam" : "perse-live");
    strcpy((char *)answer->bus_info, "platform:fake_v4l2");
    answer->device_caps = (is_capture() ? V4L2_CAP_VIDEO_CAPTURE : V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE) | V4L2_CAP_STREAMING;
    answer->capabilities = answer->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int set_format(struct v4l2_format *wanted) {
    struct v4l2_pix_format *pix = &wanted->fmt.pix;
    if (is_capture()) { /* as webcams do: the nearest of what there is */
        int large = pix->width > 640;
        pix->width = large ? 1280 : 640;
        pix->height = large ? 720 : 480;
        if (pix->pixelformat != V4L2_PIX_FMT_MJPEG || !*setting("FAKE_V4L2_JPEG")) pix->pixelformat = V4L2_PIX_FMT_YUYV;
        pix->field = V4L2_FIELD_NONE;
    }
    int planar = pix->pixelformat == V4L2_PIX_FMT_YUV420 || pix->pixelformat == V4L2_PIX_FMT_NV12;
    pix->bytesperline = planar ? pix->width : 2 * pix->width;
    pix->sizeimage = pix->bytesperline * pix->height * (planar ? 3 : 2) / 2;
    device.pix = *pix;
    FILE *log = fopen(setting("FAKE_V4L2_FORMAT"), "w");
    if (log) {
        fprintf(log, "%u %u %.4s\n", pix->width, pix->height, (const char *)&pix->pixelformat);
        fclose(log);
    }
    return 0;
}

static int request_buffers(struct v4l2_requestbuffers *request) {
    if (request->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
    if (request->count > MOST_BUFFERS) request->count = MOST_BUFFERS;
    device.buffers = request->count;
    device.queued = 0;
    return 0;
}

static int describe_buffer(struct v4l2_buffer *buffer) {
    if (buffer->index >= device.buffers) return fail(EINVAL);
    buffer->length = BUFFER_BYTES;
    buffer->m.offset = buffer->index * BUFFER_BYTES;
    return 0;
}

static unsigned fill(unsigned char *to) {
    if (device.pix.pixelformat == V4L2_PIX_FMT_MJPEG) {
        FILE *picture = fopen(setting("FAKE_V4L2_JPEG"), "rb");
        size_t length = picture ? fread(to, 1, BUFFER_BYTES, picture) : 0;
        if (picture) fclose(picture);
        return (unsigned)length;
    }
    for (unsigned i = 0; i < device.pix.sizeimage; i += 2) {
        to[i] = (unsigned char)(40 + device.delivered % 100);
        to[i + 1] = 128;
    }
    return device.pix.sizeimage;
}

static int take_buffer(struct v4l2_buffer *buffer) {
    struct timespec now, pause = {0, 1000000000L / device.interval.denominator * device.interval.numerator};
    if (!device.queued) return fail(EAGAIN);
    nanosleep(&pause, NULL);
    if (is_gone()) return fail(ENODEV);
    buffer->index = device.queue[0];
    memmove(device.queue, device.queue + 1, sizeof *device.queue * --device.queued);
    buffer->bytesused = fill(device.memory + (size_t)buffer->index * BUFFER_BYTES);
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->sequence = device.delivered++;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long microseconds = now.tv_sec * 1000000LL + now.tv_nsec / 1000 - 20000; /* the sensor was read 20 ms ago */
    buffer->timestamp.tv_sec = microseconds / 1000000;
    buffer->timestamp.tv_usec = microseconds % 1000000;
    return describe_buffer(buffer);
}

static int device_ioctl(unsigned request, void *argument) {
    struct v4l2_format *format = argument;
    struct v4l2_streamparm *parameters = argument;
    struct v4l2_buffer *buffer = argument;
    if (is_gone()) return fail(ENODEV);
    switch (request) {
    case (unsigned)VIDIOC_QUERYCAP: return query_capabilities(argument);
    case (unsigned)VIDIOC_G_FMT: format->fmt.pix = device.pix; return 0;
    case (unsigned)VIDIOC_S_FMT: return set_format(format);
    case (unsigned)VIDIOC_S_PARM:
        if (is_capture()) device.interval = parameters->parm.capture.timeperframe;
        return 0;
    case (unsigned)VIDIOC_G_PARM:
        memset(&parameters->parm, 0, sizeof parameters->parm);
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe = device.interval;
        return 0;
    }
    if (!is_capture()) return fail(ENOTTY);
    switch (request) {
    case (unsigned)VIDIOC_REQBUFS: return request_buffers(argument);
    case (unsigned)VIDIOC_QUERYBUF: return describe_buffer(buffer);
    case (unsigned)VIDIOC_QBUF:
        if (buffer->index >= device.buffers || device.queued >= MOST_BUFFERS) return fail(EINVAL);
        device.queue[device.queued++] = buffer->index;
        return 0;
    case (unsigned)VIDIOC_DQBUF: return take_buffer(buffer);
    case (unsigned)VIDIOC_STREAMON: return 0;
    case (unsigned)VIDIOC_STREAMOFF: device.queued = 0; return 0;
    }
    return fail(ENOTTY);
}

static int open_any(const char *symbol, const char *path, int flags, va_list rest) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, symbol);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    return strcmp(path, setting("FAKE_V4L2_DEVICE")) ? real(path, flags, mode) : open_device();
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int fd = open_any("open", path, flags, rest);
    va_end(rest);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int fd = open_any("open64", path, flags, rest);
    va_end(rest);
    return fd;
}

int close(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (fd > 0 && fd == device.fd) close_device();
    return real(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (fd <= 0 || fd != device.fd) return real(fd, data, size);
    if (size != device.pix.sizeimage) return fail(EINVAL);
    return real(device.frames_fd, data, size);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return fd > 0 && fd == device.fd ? device_ioctl((unsigned)request, argument) : real(fd, request, argument);
}
