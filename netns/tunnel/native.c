/* The forwarder's two loops in C: a batch of datagrams from the socket to the taps, a batch of frames from a tap to
 * the socket. They do what inward.py and outward.py do, byte for byte and count for count; native.pyi says how they are called.
 *
 * What they read was written by strangers. So: no length is believed before it was compared with what really came,
 * no pointer goes further than that, nothing is allocated for a packet, and what is kept (sessions, peers, networks)
 * belongs to Python objects, found in Python's dictionaries. The interpreter's lock is held throughout, so one batch
 * runs at a time, and what it borrows from those dictionaries stays.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { HEADER = 16, INNER = 8, TAG = 16, ETHERNET = 14, SEALED = HEADER + INNER + TAG, VNET = 10, KEY = 32, NONCE_AT = 4 };
enum { FRAME = 1, PROBE = 28, NEEDS_CSUM = 1, GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 };
enum { RELAY = 2, RELAYED = 3, PAIR = 0xFFFFFF, UDP_HEADERS = 28 };
enum { FIN = 0x01, SYN = 0x02, PSH = 0x08, ACK = 0x10, CARRIED_ON = 0x50, CWR = 0x80 };
enum { IPV4 = 0x0800, ARP = 0x0806, IPV6 = 0x86DD, TCP = 6, UDP = 17, ICMPV6 = 58, SOLICITATION = 135 };
enum { TCP4_START = 34, TCP6_START = 54, TCP_CHECK = 16, PREFIX = 12, UNCLEAR = -1, MTU6_LEAST = 1280 };
enum { BATCH = 64, DATAGRAM_MOST = 65507, PACKET_MOST = 0xFFFF, SEGMENTS_MOST = 64, SEGMENT_LEAST = 8, SESSIONS_MOST = 16 };
/* Slots do not begin at the same place of a page, or they would all want the same lines of the cache. */
enum { SLOT = 65536, STRIDE = SLOT + 2048 };
enum { WINDOW = 2048, WORDS = WINDOW / 64 + 1 };
enum { HEADERS_MOST = ETHERNET + 60 + 60, RAW_MOST = 65536 + 128, FRAMES_A_TURN = 32, ROOM_MS = 5 };
enum { MTU_MOST = DATAGRAM_MOST - SEALED - ETHERNET };
static const uint64_t COUNTER_END = 1ull << 32;
static const double SENDS_S = 600.0, RECEIVES_S = 660.0, BURST_S = 0.05, BURST = 262144.0;

/* Under a sanitizer, what a read did not fill is out of bounds. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define CLOSE(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define OPEN(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define CLOSE(at, size) ((void)0)
#define OPEN(at, size) ((void)0)
#endif

/* As Count in counters.py has them, by the same names. */
enum count {
    SENT, RECEIVED, JOINED, PROBES, PASSED_ON, ROAMED,
    OUT_MALFORMED, OUT_BROADCAST, OUT_NOT_OURS, OUT_UNKNOWN, OUT_TOO_BIG, OUT_NO_SESSION, OUT_NO_ENDPOINT, OUT_REFUSED,
    IN_NO_PAIR, IN_OVER_RATE,
    IN_TRUNCATED, IN_NOT_SEALED, IN_UNKNOWN_SESSION, IN_OLD_SESSION, IN_REPLAYED, IN_FORGED, IN_MALFORMED,
    IN_UNKNOWN_NETWORK, IN_SPOOFED, IN_NOT_HERE, IN_NOT_IP, IN_TOO_BIG, IN_REFUSED, COUNTS
};
static const char *const COUNT_NAMES[COUNTS] = {
    "sent", "received", "joined", "probes", "passed-on", "roamed",
    "out-malformed", "out-broadcast", "out-not-ours", "out-unknown", "out-too-big", "out-no-session", "out-no-endpoint",
    "out-refused",
    "in-no-pair", "in-over-rate",
    "in-truncated", "in-not-sealed", "in-unknown-session", "in-old-session", "in-replayed", "in-forged", "in-malformed",
    "in-unknown-network", "in-spoofed", "in-not-here", "in-not-ip", "in-too-big", "in-refused"
};
static uint64_t *counts; /* those of the loops that run now */

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    unsigned int index, peer_index;
    double made_s;
    unsigned long long sent, received; /* `sent` is the counter of the next */
    EVP_CIPHER_CTX *seal, *open;
    int64_t newest; /* -1 before the first */
    uint64_t seen[WORDS];
} Session;

/* Where a peer is, zero in what its family does not use. An IPv4 address is as such, though one socket takes both. */
typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Place;

typedef struct {
    PyObject_HEAD
    PyObject *sessions; /* a tuple of Session, the one to send with first */
    Place at; /* port 0: nobody knows yet */
    unsigned int pair; /* of the relay that is there; 0: it is there itself */
    double heard_s;
    int mtu; /* what the way there takes, if that is less than the network's; 0: nobody knows */
} Peer;

/* A token bucket of bytes. A rate of 0 lets nothing pass. */
typedef struct {
    double rate, level, at_s;
} Meter;

typedef struct {
    PyObject_HEAD
    Peer *ends[2];
    Meter meter;
} Pair;

typedef struct {
    PyObject_HEAD
    unsigned int vni;
    int tap, mtu, multicast, has_prefix;
    uint8_t prefix[PREFIX]; /* what IPv6 addresses begin with: all but the IPv4 address */
    PyObject *local;   /* a frozenset of MACs as numbers */
    PyObject *members; /* a dict: MAC as a number -> (Peer, address as a number) */
} Network;

typedef struct {
    PyObject_HEAD
    uint64_t counts[COUNTS];
    Meter total;
} Loops;

typedef struct {
    int handle;
    Place to;
    int length, size, datagrams; /* all together, of each but the last, how many */
    int is_over;                 /* the last was shorter */
    uint8_t *data;               /* DATAGRAM_MOST */
} Outgoing;

static PyTypeObject SessionType, PeerType, PairType, NetworkType, LoopsType;
static uint8_t *room_for(Outgoing *out, const Peer *peer, int size);
static void flush(Outgoing *out);

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static Place place(sa_family_t family)
{
    Place at;
    memset(&at, 0, sizeof at); /* all of it: places are compared as bytes */
    at.any.sa_family = family;
    return at;
}

static int port_of(const Place *at) { return ntohs(at->any.sa_family == AF_INET6 ? at->v6.sin6_port : at->v4.sin_port); }

static int is_at(const Place *one, const Place *other) { return !memcmp(one, other, sizeof *one); }

/* Makes a place of what the kernel says of a source. 0 if it is none. */
static int placed(Place *at, socklen_t length)
{
    Place v4 = place(AF_INET);
    if (at->any.sa_family == AF_INET && length == sizeof at->v4) {
        v4.v4.sin_addr = at->v4.sin_addr;
        v4.v4.sin_port = at->v4.sin_port;
        *at = v4;
        return 1;
    }
    if (at->any.sa_family != AF_INET6 || length != sizeof at->v6)
        return 0;
    at->v6.sin6_flowinfo = at->v6.sin6_scope_id = 0;
    if (IN6_IS_ADDR_V4MAPPED(&at->v6.sin6_addr)) {
        memcpy(&v4.v4.sin_addr, &at->v6.sin6_addr.s6_addr[12], sizeof v4.v4.sin_addr);
        v4.v4.sin_port = at->v6.sin6_port;
        *at = v4;
    }
    return 1;
}

/* ---- numbers in bytes ------------------------------------------------------------------------------------------ */

static unsigned get16(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }
static uint64_t get64(const uint8_t *at) { return (uint64_t)get32(at) << 32 | get32(at + 4); }
static uint64_t get_mac(const uint8_t *at) { return (uint64_t)get16(at) << 32 | get32(at + 2); }
static void put16(uint8_t *at, unsigned value) { at[0] = (uint8_t)(value >> 8); at[1] = (uint8_t)value; }
static void put32(uint8_t *at, uint32_t value) { put16(at, value >> 16); put16(at + 2, value & 0xFFFF); }

static unsigned folded(uint32_t sum)
{
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (sum & 0xFFFF) + (sum >> 16);
}

/* A checksum after one word under it changed; one that was wrong stays wrong (RFC 1624, equation 3). */
static unsigned changed(unsigned check, unsigned before, unsigned after)
{
    return ~folded((~check & 0xFFFF) + (~before & 0xFFFF) + after) & 0xFFFF;
}

static int is_ipv6(const uint8_t *frame) { return get16(frame + 12) == IPV6; }

/* The sum of TCP's pseudo-header, not complemented, of a frame whose TCP header and data have `length` bytes. */
static unsigned pseudo(const uint8_t *frame, unsigned length)
{
    const uint8_t *at = frame + (is_ipv6(frame) ? 22 : 26), *end = at + (is_ipv6(frame) ? 32 : 8);
    uint32_t sum = TCP + length;
    for (; at < end; at += 2)
        sum += get16(at);
    return folded(sum);
}

/* ---- sessions: window, open, seal ------------------------------------------------------------------------------ */

static int is_fresh(const Session *session, int64_t counter)
{
    if (counter > session->newest)
        return 1;
    if (counter <= session->newest - WINDOW)
        return 0;
    return !(session->seen[counter / 64 % WORDS] >> (counter % 64) & 1);
}

static void take(Session *session, int64_t counter)
{
    if (counter > session->newest) {
        int64_t word = counter / 64, cleared = session->newest < 0 ? 0 : session->newest / 64 + 1;
        if (cleared < word - WORDS + 1)
            cleared = word - WORDS + 1;
        for (; cleared <= word; cleared++)
            session->seen[cleared % WORDS] = 0;
        session->newest = counter;
    }
    session->seen[counter / 64 % WORDS] |= 1ull << (counter % 64);
}

/* Opens what is between header and tag, where it is. What is there is believed only if this is true. */
static int opened(Session *session, uint8_t *datagram, int length)
{
    int done, size = length - HEADER - TAG;
    uint8_t *sealed = datagram + HEADER;
    return EVP_DecryptInit_ex2(session->open, NULL, NULL, datagram + NONCE_AT, NULL) == 1
        && EVP_CIPHER_CTX_ctrl(session->open, EVP_CTRL_AEAD_SET_TAG, TAG, sealed + size) == 1
        && EVP_DecryptUpdate(session->open, NULL, &done, datagram, HEADER) == 1
        && EVP_DecryptUpdate(session->open, sealed, &done, sealed, size) == 1 && done == size
        && EVP_DecryptFinal_ex(session->open, sealed + size, &done) == 1;
}

/* Writes the header, seals `size` bytes after it where they are, and writes the tag after them. */
static int seal(Session *session, uint8_t *datagram, int size)
{
    int done;
    uint8_t *sealed = datagram + HEADER;
    uint64_t counter = session->sent++;
    put32(datagram, (uint32_t)FRAME << 24);
    put32(datagram + 4, session->peer_index);
    put32(datagram + 8, (uint32_t)(counter >> 32));
    put32(datagram + 12, (uint32_t)counter);
    return EVP_EncryptInit_ex2(session->seal, NULL, NULL, datagram + NONCE_AT, NULL) == 1
        && EVP_EncryptUpdate(session->seal, NULL, &done, datagram, HEADER) == 1
        && EVP_EncryptUpdate(session->seal, sealed, &done, sealed, size) == 1 && done == size
        && EVP_EncryptFinal_ex(session->seal, sealed + size, &done) == 1
        && EVP_CIPHER_CTX_ctrl(session->seal, EVP_CTRL_AEAD_GET_TAG, TAG, sealed + size) == 1;
}

/* ---- TCP segments: where their parts are ----------------------------------------------------------------------- */

/* Where the TCP header of a frame begins; 0 if there is none that makes sense, or it is in fragments. */
static int tcp_start(const uint8_t *frame, int length)
{
    int start;
    if (is_ipv6(frame))
        return length >= TCP6_START + 20 && frame[14] >> 4 == 6 && frame[20] == TCP ? TCP6_START : 0;
    if (length < ETHERNET + 40 || get16(frame + 12) != IPV4 || frame[23] != TCP)
        return 0;
    start = ETHERNET + (frame[14] & 15) * 4;
    if (frame[14] >> 4 != 4 || start < ETHERNET + 20 || length < start + 20 || get16(frame + 20) & 0x3FFF)
        return 0;
    return start;
}

/* Where the data of a segment begins; 0 if its header does not fit the frame. */
static int headers_end(const uint8_t *frame, int length, int start)
{
    int bytes = (frame[start + 12] >> 4) * 4;
    return bytes >= 20 && bytes <= length - start ? start + bytes : 0;
}

/* Whether a frame is as long as its IP header says. */
static int is_of_length(const uint8_t *frame, int length)
{
    return is_ipv6(frame) ? (int)get16(frame + 18) == length - TCP6_START : (int)get16(frame + 16) == length - ETHERNET;
}

/* Makes the IP header that of a frame of `length` bytes. */
static void set_length(uint8_t *frame, int length)
{
    if (is_ipv6(frame)) {
        put16(frame + 18, (unsigned)(length - TCP6_START));
    } else {
        put16(frame + 24, changed(get16(frame + 24), get16(frame + 16), (unsigned)(length - ETHERNET)));
        put16(frame + 16, (unsigned)(length - ETHERNET));
    }
}

/* ---- in: frames of a batch, joined where that is right ---------------------------------------------------------- */

typedef struct {
    Network *network;
    uint8_t *frame; /* the first, in its slot */
    int length, start, head, size; /* its bytes; where TCP and its data begin, 0 if nothing may follow; how much that is */
    int packet;     /* bytes of the IP packet with all that was joined */
    uint32_t next;  /* TCP's sequence number after that */
    unsigned check; /* what checksum, length and id leave of the rest of IPv4's header */
    unsigned flags, csum_start, csum_offset, last;
    int frames, growing;
    uint8_t vnet[VNET];
    struct iovec parts[BATCH + 1];
} Joined;

static Joined joined[BATCH];
static int joined_count;

static unsigned ip_check(const uint8_t *frame)
{
    return is_ipv6(frame) ? 0 : (get16(frame + 24) + get16(frame + 16) + get16(frame + 18)) % 0xFFFF;
}

/* Where the data of a segment begins that others may be joined with; 0 if it has to stay alone. */
static int joinable_head(const uint8_t *frame, int length, int start, unsigned flags, unsigned csum_start, unsigned csum_offset)
{
    int head;
    uint8_t tcp_flags = frame[start + 13];
    if (flags != NEEDS_CSUM || csum_start != (unsigned)start || csum_offset != TCP_CHECK || tcp_flags & ~(CARRIED_ON | FIN | PSH)
        || !(tcp_flags & ACK) || !is_of_length(frame, length))
        return 0;
    head = headers_end(frame, length, start);
    return head < length ? head : 0;
}

/* Whether two headers of `head` bytes are equal but for length, id, checksums, sequence, PSH and FIN. */
static int like(const uint8_t *one, const uint8_t *other, int start, int head)
{
    int ip = start == TCP6_START ? !memcmp(one, other, 18) && !memcmp(one + 20, other + 20, 34)
                                 : !memcmp(one, other, 16) && !memcmp(one + 20, other + 20, 4) && !memcmp(one + 26, other + 26, 8);
    if (!ip || memcmp(one + start, other + start, 4))
        return 0;
    one += start, other += start;
    return !memcmp(one + 8, other + 8, 5) && !((one[13] ^ other[13]) & ~(FIN | PSH)) && !memcmp(one + 14, other + 14, 2)
        && !memcmp(one + 18, other + 18, (size_t)(head - start - 18));
}

/* Whether two frames whose TCP begins there are of one flow. */
static int is_of_flow(const uint8_t *one, const uint8_t *other, int start)
{
    int from = start == TCP6_START ? 22 : 26;
    return get16(one + 12) == get16(other + 12) && !memcmp(one + from, other + from, (size_t)(start + 4 - from));
}

static int takes(Joined *into, uint8_t *frame, int length, int head)
{
    int size = length - head, start = into->start;
    if (head != into->head || get32(frame + start + 4) != into->next || size > into->size || into->packet + size > PACKET_MOST
        || !like(frame, into->frame, start, head) || ip_check(frame) != into->check)
        return 0;
    into->parts[into->frames + 1] = (struct iovec){frame + head, (size_t)size};
    into->frames++;
    into->next += (uint32_t)size;
    into->packet += size;
    into->last = frame[start + 13] & (FIN | PSH);
    return 1;
}

static void begin(Network *network, uint8_t *frame, int length, unsigned flags, unsigned csum_start, unsigned csum_offset,
                  int start, int head)
{
    Joined *fresh = &joined[joined_count++];
    fresh->network = network;
    fresh->frame = frame;
    fresh->length = length;
    fresh->flags = flags;
    fresh->csum_start = csum_start;
    fresh->csum_offset = csum_offset;
    fresh->frames = 1;
    fresh->parts[0] = (struct iovec){fresh->vnet, VNET};
    fresh->parts[1] = (struct iovec){frame, (size_t)length};
    fresh->start = start;
    fresh->head = head;
    fresh->growing = head && !(frame[start + 13] & (FIN | PSH));
    if (head) {
        fresh->size = length - head;
        fresh->packet = length - ETHERNET;
        fresh->next = get32(frame + start + 4) + (uint32_t)fresh->size;
        fresh->check = ip_check(frame);
        fresh->last = 0;
    }
}

/* Ends whatever grows in a network. */
static void end_all(Network *network)
{
    int at;
    for (at = 0; at < joined_count; at++)
        if (joined[at].network == network)
            joined[at].growing = 0;
}

/* Where TCP begins; 0 if it is none, or UNCLEAR if it cannot be told of which flow it is. */
static int flow_start(const uint8_t *frame, int length)
{
    if (is_ipv6(frame)) {
        if (frame[20] != TCP)
            return frame[20] == UDP || frame[20] == ICMPV6 ? 0 : UNCLEAR;
        return length >= TCP6_START + 20 && frame[14] >> 4 == 6 ? TCP6_START : UNCLEAR;
    }
    if (frame[23] != TCP)
        return 0;
    return length >= TCP4_START + 20 && frame[14] == 0x45 && !(get16(frame + 20) & 0x3FFF) ? TCP4_START : UNCLEAR;
}

/* Takes a good frame: joined with the one before it in its flow, or by itself. At most BATCH times between writes. */
static void join(Network *network, uint8_t *frame, int length, unsigned flags, unsigned csum_start, unsigned csum_offset)
{
    int start = flow_start(frame, length), head = 0, at;
    if (start == UNCLEAR) {
        end_all(network); /* of whatever flow it is */
    } else if (start) {
        head = joinable_head(frame, length, start, flags, csum_start, csum_offset);
        for (at = joined_count - 1; at >= 0; at--) {
            Joined *before = &joined[at];
            if (!before->growing || before->network != network || !is_of_flow(before->frame, frame, start))
                continue;
            if (head && takes(before, frame, length, head)) {
                before->growing = !before->last && length - head == before->size;
                return;
            }
            before->growing = 0;
            break; /* one flow has one that grows */
        }
    }
    begin(network, frame, length, flags, csum_start, csum_offset, start, head);
}

static void write_vnet(uint8_t *to, unsigned flags, unsigned gso, unsigned head, unsigned size, unsigned start, unsigned offset)
{
    uint16_t words[4] = {(uint16_t)head, (uint16_t)size, (uint16_t)start, (uint16_t)offset};
    to[0] = (uint8_t)flags;
    to[1] = (uint8_t)gso;
    memcpy(to + 2, words, sizeof words); /* in the host's order */
}

static void write_joined(Joined *one)
{
    uint8_t *frame = one->frame;
    if (one->frames == 1) {
        write_vnet(one->vnet, one->flags, GSO_NONE, 0, 0, one->csum_start, one->csum_offset);
    } else {
        int start = one->start;
        set_length(frame, one->packet + ETHERNET);
        frame[start + 13] |= (uint8_t)one->last;
        put16(frame + start + TCP_CHECK, pseudo(frame, (unsigned)(one->packet - (start - ETHERNET))));
        write_vnet(one->vnet, NEEDS_CSUM, start == TCP6_START ? GSO_TCPV6 : GSO_TCPV4, (unsigned)one->head, (unsigned)one->size,
                   (unsigned)start, TCP_CHECK);
    }
    if (writev(one->network->tap, one->parts, one->frames + 1) < 0)
        counts[IN_REFUSED] += (uint64_t)one->frames;
    else
        counts[JOINED]++;
}

/* The session of that index among the peer's; NULL if it has none. */
static Session *session_of(Peer *peer, uint32_t index)
{
    Py_ssize_t at;
    for (at = 0; at < PyTuple_GET_SIZE(peer->sessions); at++) {
        Session *session = (Session *)PyTuple_GET_ITEM(peer->sessions, at);
        if (session->index == index)
            return session;
    }
    return NULL;
}

/* What the dictionary has under a number; NULL if nothing of that type. Borrowed. */
static PyObject *found(PyObject *table, uint64_t number, PyTypeObject *type)
{
    PyObject *value, *key = PyLong_FromUnsignedLongLong(number);
    if (key == NULL) {
        PyErr_Clear();
        return NULL;
    }
    value = PyDict_GetItemWithError(table, key);
    Py_DECREF(key);
    if (value == NULL)
        PyErr_Clear();
    return value != NULL && Py_IS_TYPE(value, type) ? value : NULL;
}

static int has_local(Network *network, uint64_t mac)
{
    int has;
    PyObject *key = PyLong_FromUnsignedLongLong(mac);
    if (key == NULL) {
        PyErr_Clear();
        return 0;
    }
    has = PySet_Contains(network->local, key);
    Py_DECREF(key);
    if (has < 0)
        PyErr_Clear();
    return has == 1;
}

static double burst(const Meter *meter) { return meter->rate > 0 ? meter->rate * BURST_S + BURST : 0; }

static int has(Meter *meter, int size, double at_s)
{
    double most = burst(meter);
    meter->level += (at_s > meter->at_s ? at_s - meter->at_s : 0) * meter->rate;
    if (meter->level > most)
        meter->level = most;
    meter->at_s = at_s;
    return size <= meter->level;
}

/* Another rate. A meter that let nothing pass begins full. */
static void lend(Meter *meter, double rate)
{
    int fresh = meter->rate <= 0;
    meter->rate = rate;
    if (fresh) {
        meter->at_s = now_s();
        meter->level = burst(meter);
    }
}

/* Passes a datagram on from one end of its pair to the other, if it comes from there and may. */
static enum count passed_on(Outgoing *out, uint8_t *datagram, int length, const Place *from, PyObject *pairs,
                            Meter *total, double at_s)
{
    uint32_t number = get32(datagram) & PAIR;
    Pair *pair = (Pair *)found(pairs, number, &PairType);
    Peer *to = NULL;
    int end;
    for (end = 0; pair != NULL && to == NULL && end < 2; end++)
        if (is_at(&pair->ends[end]->at, from) && !pair->ends[end]->pair && !pair->ends[!end]->pair)
            to = pair->ends[!end];
    if (to == NULL || !port_of(&to->at))
        return IN_NO_PAIR;
    if (!has(&pair->meter, length + UDP_HEADERS, at_s) || !has(total, length + UDP_HEADERS, at_s))
        return IN_OVER_RATE;
    pair->meter.level -= length + UDP_HEADERS;
    total->level -= length + UDP_HEADERS;
    put32(datagram, (uint32_t)RELAYED << 24 | number);
    memcpy(room_for(out, to, length), datagram, (size_t)length);
    return PASSED_ON;
}

/* One datagram of `length` bytes, not to be passed on. What is good is joined to the batch, or put into `probes`; what is not is counted. */
static enum count taken(uint8_t *datagram, int length, const Place *from, PyObject *sessions, PyObject *networks,
                        PyObject *probes, double at_s)
{
    uint64_t counter;
    Peer *peer;
    Session *session;
    Network *network;
    PyObject *member;
    unsigned flags, csum_start, csum_offset;
    uint32_t address;
    uint8_t *inner = datagram + HEADER, *frame = inner + INNER;
    int frame_length = length - SEALED;
    uint32_t pair;

    if (frame_length < ETHERNET)
        return IN_NOT_SEALED;
    pair = get32(datagram) & PAIR;
    if (datagram[0] != (pair ? RELAYED : FRAME))
        return IN_NOT_SEALED;
    put32(datagram, (uint32_t)FRAME << 24); /* as it was sealed */
    peer = (Peer *)found(sessions, get32(datagram + 4), &PeerType);
    session = peer != NULL ? session_of(peer, get32(datagram + 4)) : NULL;
    if (session == NULL)
        return IN_UNKNOWN_SESSION;
    counter = get64(datagram + 8);
    if (counter >= COUNTER_END || at_s >= session->made_s + RECEIVES_S)
        return IN_OLD_SESSION;
    if (!is_fresh(session, (int64_t)counter))
        return IN_REPLAYED;
    if (!opened(session, datagram, length))
        return IN_FORGED;
    if ((int64_t)counter > session->newest) { /* an old one that arrives late does not say where it is now */
        peer->heard_s = at_s;
        if (!pair && !peer->pair && !is_at(&peer->at, from)) {
            peer->at = *from;
            counts[ROAMED]++;
        }
    }
    take(session, (int64_t)counter);
    session->received++;

    flags = inner[0];
    csum_start = get16(inner + 4);
    csum_offset = get16(inner + 6);
    if (flags == NEEDS_CSUM) {
        if (csum_start < ETHERNET || csum_start + csum_offset + 2 > (unsigned)frame_length)
            return IN_MALFORMED;
    } else if (flags || csum_start || csum_offset) {
        return IN_MALFORMED;
    }
    if (!get32(inner)) { /* of no network */
        PyObject *probe;
        if (frame_length < PROBE)
            return IN_MALFORMED;
        probe = Py_BuildValue("Iy#y#I", session->index, (const char *)from, (Py_ssize_t)sizeof *from, (const char *)frame,
                              (Py_ssize_t)PROBE, pair);
        if (probe == NULL || PyList_Append(probes, probe) < 0)
            PyErr_Clear(); /* no memory: it is lost */
        Py_XDECREF(probe);
        return PROBES;
    }
    network = (Network *)found(networks, get32(inner) & 0xFFFFFF, &NetworkType);
    if (network == NULL)
        return IN_UNKNOWN_NETWORK;
    member = found(network->members, get_mac(frame + 6), &PyTuple_Type);
    if (member == NULL || PyTuple_GET_ITEM(member, 0) != (PyObject *)peer)
        return IN_SPOOFED;
    if (!(network->multicast && frame[0] & 1) && !has_local(network, get_mac(frame)))
        return IN_NOT_HERE;
    if (get16(frame + 12) == IPV4 && frame_length >= ETHERNET + 20)
        address = get32(frame + 26);
    else if (is_ipv6(frame) && frame_length >= ETHERNET + 40 && network->has_prefix)
        address = get32(frame + 22 + PREFIX);
    else
        return IN_NOT_IP;
    if (address != (uint32_t)PyLong_AsUnsignedLongMask(PyTuple_GET_ITEM(member, 1))
        || (is_ipv6(frame) && memcmp(frame + 22, network->prefix, PREFIX)))
        return IN_SPOOFED;
    if (frame_length > network->mtu + ETHERNET)
        return IN_TOO_BIG;
    join(network, frame, frame_length, flags, csum_start, csum_offset);
    return RECEIVED;
}

/* receive(socket, sessions, networks, pairs): a batch of datagrams. Those that are left to Python. */
static PyObject *loops_receive(Loops *self, PyObject *args)
{
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static Place sources[BATCH];
    static uint8_t *slots, data[DATAGRAM_MOST];
    Outgoing out = {.data = data};
    PyObject *sessions, *networks, *pairs, *probes;
    int handle, got, at;
    double at_s = now_s();

    counts = self->counts;
    if (!PyArg_ParseTuple(args, "iO!O!O!", &handle, &PyDict_Type, &sessions, &PyDict_Type, &networks, &PyDict_Type, &pairs))
        return NULL;
    out.handle = handle;
    if (slots == NULL && (slots = PyMem_RawCalloc(BATCH, STRIDE)) == NULL)
        return PyErr_NoMemory();
    if ((probes = PyList_New(0)) == NULL)
        return NULL;
    for (at = 0; at < BATCH; at++) {
        vectors[at] = (struct iovec){slots + (size_t)at * STRIDE, DATAGRAM_MOST};
        memset(&messages[at], 0, sizeof messages[at]);
        messages[at].msg_hdr.msg_name = &sources[at];
        messages[at].msg_hdr.msg_namelen = sizeof sources[at];
        messages[at].msg_hdr.msg_iov = &vectors[at];
        messages[at].msg_hdr.msg_iovlen = 1;
    }
    OPEN(slots, (size_t)BATCH * STRIDE);
    got = recvmmsg(handle, messages, BATCH, MSG_DONTWAIT, NULL);
    joined_count = 0;
    for (at = 0; at < got; at++) {
        enum count reason = IN_TRUNCATED;
        if (!(messages[at].msg_hdr.msg_flags & MSG_TRUNC) && messages[at].msg_len <= DATAGRAM_MOST
            && placed(&sources[at], messages[at].msg_hdr.msg_namelen)) {
            CLOSE((uint8_t *)vectors[at].iov_base + messages[at].msg_len, STRIDE - messages[at].msg_len);
            uint8_t *datagram = vectors[at].iov_base;
            int length = (int)messages[at].msg_len;
            if (length >= SEALED + ETHERNET && datagram[0] == RELAY && get32(datagram) & PAIR)
                reason = passed_on(&out, datagram, length, &sources[at], pairs, &self->total, at_s);
            else
                reason = taken(datagram, length, &sources[at], sessions, networks, probes, at_s);
        }
        counts[reason]++;
    }
    flush(&out);
    for (at = 0; at < joined_count; at++)
        write_joined(&joined[at]);
    return probes;
}

/* ---- out: frames of a tap, cut, sealed, sent together ------------------------------------------------------------ */

typedef struct {
    Network *network;
    Peer *peer;
    Session *session;
    unsigned flags, csum_start, csum_offset;
} Way;

static int sent_once(const Outgoing *out, uint8_t *data, int length, int size)
{
    union {
        char room[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr aligned;
    } control;
    struct iovec vector = {data, (size_t)length};
    Place to = out->to;
    struct msghdr message = {.msg_name = &to, .msg_iov = &vector, .msg_iovlen = 1};
    uint16_t segment = (uint16_t)size;
    message.msg_namelen = to.any.sa_family == AF_INET6 ? sizeof to.v6 : sizeof to.v4;
    if (length > size) {
        struct cmsghdr *head;
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.room;
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = IPPROTO_UDP;
        head->cmsg_type = UDP_SEGMENT;
        head->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(head), &segment, sizeof segment);
    }
    return sendmsg(out->handle, &message, MSG_DONTWAIT) >= 0;
}

/* Waits a moment when the socket is full, once: who is slowed down by that is who sends. */
static int sent_patiently(const Outgoing *out, uint8_t *data, int length, int size)
{
    struct pollfd room = {.fd = out->handle, .events = POLLOUT};
    if (sent_once(out, data, length, size))
        return 1;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return 0;
    poll(&room, 1, ROOM_MS);
    return sent_once(out, data, length, size);
}

static void flush(Outgoing *out)
{
    int at, size;
    if (out->datagrams && sent_patiently(out, out->data, out->length, out->size)) {
        counts[SENT] += (uint64_t)out->datagrams;
    } else if (out->datagrams > 1 && (errno == EMSGSIZE || errno == EINVAL)) {
        /* Larger than the card's packets: then each by itself, in fragments. */
        for (at = 0; at < out->length; at += size) {
            size = out->length - at < out->size ? out->length - at : out->size;
            counts[sent_patiently(out, out->data + at, size, size) ? SENT : OUT_REFUSED]++;
        }
    } else {
        counts[OUT_REFUSED] += (uint64_t)out->datagrams;
    }
    out->length = out->datagrams = out->is_over = 0;
}

/* Room for a datagram of that size to that peer, behind those that it can be sent with. `size` is DATAGRAM_MOST at most. */
static uint8_t *room_for(Outgoing *out, const Peer *peer, int size)
{
    uint8_t *room;
    if (out->datagrams
        && (out->is_over || size > out->size || out->datagrams == SEGMENTS_MOST || out->length + size > DATAGRAM_MOST
            || memcmp(&out->to, &peer->at, sizeof out->to)))
        flush(out);
    if (!out->datagrams) {
        out->to = peer->at;
        out->size = size;
    }
    room = out->data + out->length;
    out->is_over = size < out->size;
    out->length += size;
    out->datagrams++;
    return room;
}

/* Seals one frame of two parts into the outgoing datagrams. */
static void put_out(Outgoing *out, const Way *way, const uint8_t *head, int head_length, const uint8_t *data, int data_length)
{
    int inner = INNER + head_length + data_length;
    uint8_t *datagram = room_for(out, way->peer, HEADER + inner + TAG), *at = datagram + HEADER;
    put32(at, way->flags << 24 | way->network->vni);
    put16(at + 4, way->csum_start);
    put16(at + 6, way->csum_offset);
    memcpy(at + INNER, head, (size_t)head_length);
    memcpy(at + INNER + head_length, data, (size_t)data_length);
    if (!seal(way->session, datagram, inner)) { /* nothing of it may go out */
        memset(datagram, 0, (size_t)(HEADER + inner + TAG));
        PyErr_SetString(PyExc_RuntimeError, "libcrypto did not seal a frame");
    } else if (way->peer->pair) {
        put32(datagram, (uint32_t)RELAY << 24 | way->peer->pair);
    }
}

/* Cuts TCP's data into segments of `step` bytes, each with a header of its own. `head` is at most HEADERS_MOST. */
static void put_out_cut(Outgoing *out, const Way *way, const uint8_t *frame, int length, int start, int head, int step)
{
    uint8_t own[HEADERS_MOST];
    int offset, data = length - head;
    for (offset = 0; offset < data; offset += step) {
        int size = data - offset < step ? data - offset : step, is_last = offset + step >= data;
        memcpy(own, frame, (size_t)head);
        set_length(own, head + size);
        if (!is_ipv6(frame) && !(get16(frame + 20) & 0x4000)) { /* without DF each has an id of its own */
            unsigned id = (get16(frame + 18) + (unsigned)(offset / step)) & 0xFFFF;
            put16(own + 24, changed(get16(own + 24), get16(frame + 18), id));
            put16(own + 18, id);
        }
        put32(own + start + 4, get32(frame + start + 4) + (uint32_t)offset);
        if (offset)
            own[start + 13] &= (uint8_t)~CWR;
        if (!is_last)
            own[start + 13] &= (uint8_t)~(FIN | PSH);
        put16(own + start + TCP_CHECK, pseudo(frame, (unsigned)(head - start + size)));
        put_out(out, way, own, head, frame + head + offset, size);
    }
}

/* Whether a frame asks for a neighbour, by ARP or by neighbour discovery. */
static int asks(const uint8_t *frame, int length)
{
    return get16(frame + 12) == ARP
        || (is_ipv6(frame) && length >= ETHERNET + 40 + 24 && frame[20] == ICMPV6 && frame[ETHERNET + 40] == SOLICITATION);
}

/* Whether a frame is a packet that is not to be cut. */
static int is_whole(const uint8_t *frame, int length)
{
    if (is_ipv6(frame))
        return length >= ETHERNET + 40;
    return length >= ETHERNET + 20 && get16(frame + 12) == IPV4 && frame[20] & 0x40;
}

/* The longest packet of its kind, on a network of `mtu`, where the way takes `takes`, which is no more. */
static int most(const uint8_t *frame, int length, int mtu, int takes)
{
    if (!is_whole(frame, length))
        return mtu;
    if (is_ipv6(frame) && takes < MTU6_LEAST)
        return mtu < MTU6_LEAST ? mtu : MTU6_LEAST;
    return takes;
}

/* Has a frame that begins a connection say that its sender takes what fits `mtu` in one segment, or less. */
static void clamp(uint8_t *frame, int length, int mtu, int is_summed)
{
    int start = tcp_start(frame, length);
    int end = start && frame[start + 13] & SYN ? headers_end(frame, length, start) : 0, at = start + 20, size;
    unsigned most = (unsigned)(mtu - (is_ipv6(frame) ? 60 : 40)), told;
    for (; at + 4 <= end && frame[at]; at += size) {
        size = frame[at] == 1 ? 1 : frame[at + 1];
        if (!size)
            return;
        if (frame[at] != 2 || size != 4)
            continue;
        told = get16(frame + at + 2);
        if (told <= most)
            return;
        put16(frame + at + 2, most);
        if (!is_summed)
            return;
        if ((at - start) % 2) { /* its bytes are the halves of two words */
            told = (told & 0xFF) << 8 | told >> 8;
            most = (most & 0xFF) << 8 | most >> 8;
        }
        put16(frame + start + TCP_CHECK, changed(get16(frame + start + TCP_CHECK), told, most));
        return;
    }
}

/* Leaves a read of a tap to Python. */
static void leave(PyObject *asked, const uint8_t *raw, int got)
{
    PyObject *copy = PyBytes_FromStringAndSize((const char *)raw, got);
    if (copy != NULL) {
        PyList_Append(asked, copy);
        Py_DECREF(copy);
    }
}

/* One read of a tap, virtio's header first. The reason why it was dropped, or COUNTS. What Python is to answer is put
 * into `asked`. */
static enum count given(Outgoing *out, Network *network, uint8_t *raw, int got, double at_s, PyObject *asked)
{
    uint8_t *frame = raw + VNET;
    int length = got - VNET, start = 0, head = 0, step = 0, takes;
    uint64_t pieces = 1;
    uint16_t left[4]; /* hdr_len, gso_size, csum_start, csum_offset, in the host's order */
    PyObject *member;
    Way way = {.network = network};
    Py_ssize_t at;

    if (length < ETHERNET)
        return OUT_MALFORMED;
    memcpy(left, raw + 2, sizeof left);
    if (!has_local(network, get_mac(frame + 6)))
        return OUT_NOT_OURS;
    if (asks(frame, length) || (network->multicast && frame[0] & 1)) {
        leave(asked, raw, got);
        return COUNTS;
    }
    if (frame[0] & 1)
        return OUT_BROADCAST;
    member = found(network->members, get_mac(frame), &PyTuple_Type);
    if (member == NULL)
        return OUT_UNKNOWN;
    if (!Py_IS_TYPE(PyTuple_GET_ITEM(member, 0), &PeerType))
        return OUT_NO_SESSION;
    way.peer = (Peer *)PyTuple_GET_ITEM(member, 0);
    for (at = 0; at < PyTuple_GET_SIZE(way.peer->sessions); at++) {
        Session *session = (Session *)PyTuple_GET_ITEM(way.peer->sessions, at);
        if (session->sent < COUNTER_END && at_s < session->made_s + SENDS_S) {
            way.session = session;
            break;
        }
    }
    if (way.session == NULL)
        return OUT_NO_SESSION;
    if (!port_of(&way.peer->at))
        return OUT_NO_ENDPOINT;

    takes = way.peer->mtu > 0 && way.peer->mtu < network->mtu ? way.peer->mtu : network->mtu;
    way.flags = raw[0] & NEEDS_CSUM;
    way.csum_start = way.flags ? left[2] : 0;
    way.csum_offset = way.flags ? left[3] : 0;
    if (raw[1] != GSO_NONE) {
        if ((raw[1] & ~GSO_ECN) != (is_ipv6(frame) ? GSO_TCPV6 : GSO_TCPV4) || !way.flags)
            return OUT_MALFORMED;
        start = tcp_start(frame, length);
        head = start ? headers_end(frame, length, start) : 0;
        step = takes - (head - ETHERNET) < left[1] ? takes - (head - ETHERNET) : left[1];
        if (!head || left[1] < SEGMENT_LEAST || step < 1 || head == length || !is_of_length(frame, length))
            return OUT_MALFORMED;
        pieces = ((uint64_t)(length - head) + (uint64_t)step - 1) / (uint64_t)step;
        way.csum_start = (unsigned)start;
        way.csum_offset = TCP_CHECK;
    } else if (length > most(frame, length, network->mtu, takes) + ETHERNET) {
        if (!is_whole(frame, length))
            return OUT_TOO_BIG;
        leave(asked, raw, got);
        return COUNTS;
    }
    if (way.flags && (way.csum_start < ETHERNET || way.csum_start + way.csum_offset + 2 > (unsigned)length))
        return OUT_MALFORMED;
    if (way.session->sent + pieces > COUNTER_END)
        return OUT_NO_SESSION;
    if (head) {
        put_out_cut(out, &way, frame, length, start, head, step);
    } else {
        clamp(frame, length, takes, !way.flags);
        put_out(out, &way, frame, length, frame, 0);
    }
    return COUNTS;
}

/* send(socket, network): a batch of its tap's frames. Those that are left to Python, as they were read. */
static PyObject *loops_send(Loops *self, PyObject *args)
{
    static uint8_t raw[RAW_MOST], data[DATAGRAM_MOST];
    Outgoing out = {.data = data};
    Network *network;
    PyObject *asked;
    int turn, error = 0;
    double at_s = now_s();

    counts = self->counts;
    if (!PyArg_ParseTuple(args, "iO!", &out.handle, &NetworkType, &network))
        return NULL;
    if ((asked = PyList_New(0)) == NULL)
        return NULL;
    for (turn = 0; turn < FRAMES_A_TURN; turn++) {
        enum count reason;
        ssize_t got;
        OPEN(raw, sizeof raw);
        got = read(network->tap, raw, sizeof raw);
        if (got < 0) {
            error = errno;
            break;
        }
        CLOSE(raw + got, sizeof raw - (size_t)got);
        reason = given(&out, network, raw, (int)got, at_s, asked);
        if (reason != COUNTS)
            counts[reason]++;
        if (PyErr_Occurred()) {
            Py_DECREF(asked);
            return NULL;
        }
    }
    flush(&out);
    if (error && error != EAGAIN && error != EINTR) {
        Py_DECREF(asked);
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return asked;
}

/* ---- Python's side ---------------------------------------------------------------------------------------------- */

static EVP_CIPHER_CTX *keyed(int chacha, const uint8_t *key, int seals)
{
    const EVP_CIPHER *cipher = chacha ? EVP_chacha20_poly1305() : EVP_aes_256_gcm();
    EVP_CIPHER_CTX *made = EVP_CIPHER_CTX_new();
    if (made != NULL && EVP_CipherInit_ex2(made, cipher, key, NULL, seals, NULL) != 1) {
        EVP_CIPHER_CTX_free(made);
        made = NULL;
    }
    if (made == NULL)
        PyErr_SetString(PyExc_RuntimeError, "libcrypto does not take the key");
    return made;
}

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"index", "peer_index", "send_key", "receive_key", "chacha", "made_s", NULL};
    unsigned int index, peer_index;
    Py_buffer send, receive;
    int chacha;
    double made_s;
    Session *self = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IIy*y*pd", names, &index, &peer_index, &send, &receive, &chacha, &made_s))
        return NULL;
    if (send.len != KEY || receive.len != KEY) {
        PyErr_Format(PyExc_ValueError, "session %u: keys have %d bytes", index, (int)KEY);
    } else if ((self = (Session *)type->tp_alloc(type, 0)) != NULL) {
        self->index = index;
        self->peer_index = peer_index;
        self->made_s = made_s;
        self->newest = -1;
        self->seal = keyed(chacha, send.buf, 1);
        self->open = self->seal != NULL ? keyed(chacha, receive.buf, 0) : NULL;
        if (self->open == NULL)
            Py_CLEAR(self);
    }
    PyBuffer_Release(&send);
    PyBuffer_Release(&receive);
    return (PyObject *)self;
}

static void session_dealloc(Session *self)
{
    EVP_CIPHER_CTX_free(self->seal); /* it wipes the key */
    EVP_CIPHER_CTX_free(self->open);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* seal(plain): the next datagram; None if it has had its last. */
static PyObject *session_seal(Session *self, PyObject *plain)
{
    PyObject *made;
    Py_ssize_t size;
    if (!PyBytes_CheckExact(plain) || (size = PyBytes_GET_SIZE(plain)) > DATAGRAM_MOST - HEADER - TAG) {
        PyErr_Format(PyExc_ValueError, "what is sealed is bytes, at most %d", (int)(DATAGRAM_MOST - HEADER - TAG));
        return NULL;
    }
    if (self->sent >= COUNTER_END)
        Py_RETURN_NONE;
    if ((made = PyBytes_FromStringAndSize(NULL, HEADER + size + TAG)) == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(made) + HEADER, PyBytes_AS_STRING(plain), (size_t)size);
    if (!seal(self, (uint8_t *)PyBytes_AS_STRING(made), (int)size)) {
        Py_DECREF(made);
        PyErr_SetString(PyExc_RuntimeError, "libcrypto did not seal a frame");
        return NULL;
    }
    return made;
}

static PyMethodDef session_methods[] = {{"seal", (PyCFunction)session_seal, METH_O, NULL}, {NULL}};

static PyMemberDef session_members[] = {
    {"index", T_UINT, offsetof(Session, index), READONLY, NULL},
    {"sent", T_ULONGLONG, offsetof(Session, sent), READONLY, NULL},
    {"received", T_ULONGLONG, offsetof(Session, received), READONLY, NULL},
    {NULL}
};

static PyTypeObject SessionType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "netns.tunnel.native.Session",
    .tp_basicsize = sizeof(Session),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = session_new,
    .tp_dealloc = (destructor)session_dealloc,
    .tp_methods = session_methods,
    .tp_members = session_members,
};

static PyObject *peer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    Peer *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names) || (self = (Peer *)type->tp_alloc(type, 0)) == NULL)
        return NULL;
    self->at = place(AF_INET);
    if ((self->sessions = PyTuple_New(0)) == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void peer_dealloc(Peer *self)
{
    Py_XDECREF(self->sessions);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* carry(sessions): what it has from now on, the one to send with first. */
static PyObject *peer_carry(Peer *self, PyObject *sessions)
{
    Py_ssize_t at;
    if (!PyTuple_CheckExact(sessions) || PyTuple_GET_SIZE(sessions) > SESSIONS_MOST) {
        PyErr_Format(PyExc_TypeError, "a peer has a tuple of at most %d sessions", (int)SESSIONS_MOST);
        return NULL;
    }
    for (at = 0; at < PyTuple_GET_SIZE(sessions); at++) {
        if (!Py_IS_TYPE(PyTuple_GET_ITEM(sessions, at), &SessionType)) {
            PyErr_SetString(PyExc_TypeError, "a peer has sessions only");
            return NULL;
        }
    }
    Py_INCREF(sessions);
    Py_SETREF(self->sessions, sessions);
    Py_RETURN_NONE;
}

/* move(address, port, pair): where it is, or the relay that passes on for that pair; port 0 for nobody knows. */
static PyObject *peer_move(Peer *self, PyObject *args)
{
    const char *text;
    unsigned short port;
    unsigned int pair;
    Place v4 = place(AF_INET), v6 = place(AF_INET6);
    if (!PyArg_ParseTuple(args, "sHI", &text, &port, &pair))
        return NULL;
    v4.v4.sin_port = v6.v6.sin6_port = htons(port);
    if (!port || inet_pton(AF_INET, text, &v4.v4.sin_addr) == 1) {
        self->at = v4;
    } else if (inet_pton(AF_INET6, text, &v6.v6.sin6_addr) == 1) {
        self->at = v6;
    } else {
        PyErr_Format(PyExc_ValueError, "%s is not an address", text);
        return NULL;
    }
    self->pair = pair & PAIR;
    Py_RETURN_NONE;
}

static PyObject *peer_endpoint(Peer *self, void *closure)
{
    char text[INET6_ADDRSTRLEN];
    const void *address = self->at.any.sa_family == AF_INET6 ? (const void *)&self->at.v6.sin6_addr : &self->at.v4.sin_addr;
    (void)closure;
    if (!port_of(&self->at))
        return Py_BuildValue("(si)", "", 0);
    if (inet_ntop(self->at.any.sa_family, address, text, sizeof text) == NULL)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("(si)", text, port_of(&self->at));
}

static PyMethodDef peer_methods[] = {
    {"carry", (PyCFunction)peer_carry, METH_O, NULL},
    {"move", (PyCFunction)peer_move, METH_VARARGS, NULL},
    {NULL}
};
static PyGetSetDef peer_getset[] = {{"endpoint", (getter)peer_endpoint, NULL, NULL, NULL}, {NULL}};
static PyMemberDef peer_members[] = {
    {"heard_s", T_DOUBLE, offsetof(Peer, heard_s), READONLY, NULL},
    {"mtu", T_INT, offsetof(Peer, mtu), 0, NULL},
    {NULL}
};

static PyTypeObject PeerType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "netns.tunnel.native.Peer",
    .tp_basicsize = sizeof(Peer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = peer_new,
    .tp_dealloc = (destructor)peer_dealloc,
    .tp_methods = peer_methods,
    .tp_getset = peer_getset,
    .tp_members = peer_members,
};

static PyObject *pair_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"one", "other", NULL};
    PyObject *one, *other;
    Pair *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!", names, &PeerType, &one, &PeerType, &other)
        || (self = (Pair *)type->tp_alloc(type, 0)) == NULL)
        return NULL;
    Py_INCREF(one);
    Py_INCREF(other);
    self->ends[0] = (Peer *)one;
    self->ends[1] = (Peer *)other;
    return (PyObject *)self;
}

static void pair_dealloc(Pair *self)
{
    Py_XDECREF(self->ends[0]);
    Py_XDECREF(self->ends[1]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *lent(Meter *meter, PyObject *rate)
{
    double bytes_per_s = PyFloat_AsDouble(rate);
    if (PyErr_Occurred())
        return NULL;
    lend(meter, bytes_per_s);
    Py_RETURN_NONE;
}

static PyObject *pair_lend(Pair *self, PyObject *rate) { return lent(&self->meter, rate); }

static PyMethodDef pair_methods[] = {{"lend", (PyCFunction)pair_lend, METH_O, NULL}, {NULL}};

static PyTypeObject PairType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "netns.tunnel.native.Pair",
    .tp_basicsize = sizeof(Pair),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = pair_new,
    .tp_dealloc = (destructor)pair_dealloc,
    .tp_methods = pair_methods,
};

static int are_members(PyObject *members)
{
    PyObject *mac, *member;
    Py_ssize_t at = 0;
    while (PyDict_Next(members, &at, &mac, &member)) {
        if (!PyLong_CheckExact(mac) || !PyTuple_CheckExact(member) || PyTuple_GET_SIZE(member) != 2
            || !(PyTuple_GET_ITEM(member, 0) == Py_None || Py_IS_TYPE(PyTuple_GET_ITEM(member, 0), &PeerType))
            || !PyLong_CheckExact(PyTuple_GET_ITEM(member, 1))) {
            PyErr_SetString(PyExc_TypeError, "members are (peer or None, address as a number) by MAC as a number");
            return 0;
        }
    }
    return 1;
}

static PyObject *network_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"vni", "tap", "mtu", "local", "members", "prefix", "multicast", NULL};
    unsigned int vni;
    int tap, mtu, multicast;
    const char *prefix;
    Py_ssize_t prefix_length;
    PyObject *local, *members;
    Network *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IiiO!O!y#p", names, &vni, &tap, &mtu, &PyFrozenSet_Type, &local, &PyDict_Type,
                                     &members, &prefix, &prefix_length, &multicast))
        return NULL;
    if (vni > 0xFFFFFF || mtu < 0 || mtu > MTU_MOST) {
        PyErr_Format(PyExc_ValueError, "network %u: vni or mtu %d is too large", vni, mtu);
        return NULL;
    }
    if (prefix_length && prefix_length != PREFIX) {
        PyErr_Format(PyExc_ValueError, "network %u: a prefix has %d bytes, or none", vni, (int)PREFIX);
        return NULL;
    }
    if ((self = (Network *)type->tp_alloc(type, 0)) == NULL)
        return NULL;
    self->has_prefix = prefix_length != 0;
    memcpy(self->prefix, prefix, (size_t)prefix_length);
    self->vni = vni;
    self->tap = tap;
    self->mtu = mtu;
    self->multicast = multicast;
    Py_INCREF(local);
    self->local = local;
    if ((self->members = PyDict_Copy(members)) == NULL || !are_members(self->members))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void network_dealloc(Network *self)
{
    Py_XDECREF(self->local);
    Py_XDECREF(self->members);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject NetworkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "netns.tunnel.native.Network",
    .tp_basicsize = sizeof(Network),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = network_new,
    .tp_dealloc = (destructor)network_dealloc,
};

/* counted(): what became of the frames that these loops have seen, by name. */
static PyObject *loops_counted(Loops *self, PyObject *unused)
{
    PyObject *table = PyDict_New();
    int at;
    (void)unused;
    for (at = 0; table != NULL && at < COUNTS; at++) {
        PyObject *value = PyLong_FromUnsignedLongLong(self->counts[at]);
        if (value == NULL || PyDict_SetItemString(table, COUNT_NAMES[at], value) < 0)
            Py_CLEAR(table);
        Py_XDECREF(value);
    }
    return table;
}

static PyObject *loops_lend(Loops *self, PyObject *rate) { return lent(&self->total, rate); }

static PyMethodDef loops_methods[] = {
    {"receive", (PyCFunction)loops_receive, METH_VARARGS, NULL},
    {"send", (PyCFunction)loops_send, METH_VARARGS, NULL},
    {"counted", (PyCFunction)loops_counted, METH_NOARGS, NULL},
    {"lend", (PyCFunction)loops_lend, METH_O, NULL},
    {NULL}
};

static PyTypeObject LoopsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "netns.tunnel.native.Loops",
    .tp_basicsize = sizeof(Loops),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_methods = loops_methods,
};

static struct PyModuleDef native_module = {PyModuleDef_HEAD_INIT, .m_name = "netns.tunnel.native", .m_size = -1};

PyMODINIT_FUNC PyInit_native(void)
{
    PyTypeObject *types[] = {&SessionType, &PeerType, &PairType, &NetworkType, &LoopsType};
    PyObject *module = PyModule_Create(&native_module);
    size_t at;
    for (at = 0; module != NULL && at < sizeof types / sizeof *types; at++) {
        if (PyModule_AddType(module, types[at]) < 0)
            Py_CLEAR(module);
    }
    return module;
}
