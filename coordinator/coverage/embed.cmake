# Writes OUTPUT: SCRIPT as a constant, for coordinator/coverage/collector.cc.
file(READ ${SCRIPT} contents)
file(WRITE ${OUTPUT} "#include \"coordinator/coverage/collector.h\"\n\nnamespace dtest {\n\nextern const char kCombineScript[] = R\"python(${contents})python\";\n\n}  // namespace dtest\n")
