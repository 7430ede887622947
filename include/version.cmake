# Writes OUTPUT, defining dtest::Version(), only when it would change.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(commit)
  set(commit " (${commit})")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#include \"dtest/version.h\"\nnamespace dtest {\nconst char* Version() { return \"${VERSION}${commit}\"; }\n}  // namespace dtest\n")
