// libzmq can secure a link with GSSAPI, and so its archive refers to these. The agent never asks it to (its links are a
// stream, or CURVE), and Kerberos has no archives on Debian.

#include <stdlib.h>

void* GSS_C_NT_HOSTBASED_SERVICE;
void* GSS_C_NT_USER_NAME;

#define NEVER_CALLED(name) \
  void name(void);         \
  void name(void) { abort(); }

NEVER_CALLED(gss_accept_sec_context)
NEVER_CALLED(gss_acquire_cred)
NEVER_CALLED(gss_delete_sec_context)
NEVER_CALLED(gss_display_name)
NEVER_CALLED(gss_import_name)
NEVER_CALLED(gss_init_sec_context)
NEVER_CALLED(gss_release_buffer)
NEVER_CALLED(gss_release_cred)
NEVER_CALLED(gss_release_name)
NEVER_CALLED(gss_unwrap)
NEVER_CALLED(gss_wrap)
