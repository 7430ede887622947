// Does libzmq's archive find all it needs? See package.cmake.

#include <zmq.h>

int main() { return zmq_ctx_term(zmq_ctx_new()); }
