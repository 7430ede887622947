# Writes OUTPUT: FILES of DIRECTORY as constants, for coordinator/controller/pytest_reports.cc.
set(text "#include \"coordinator/controller/pytest_reports.h\"\n\nnamespace dtest {\nnamespace {\nconstexpr PluginFile kFiles[] = {\n")
foreach(file ${FILES})
  file(READ ${DIRECTORY}/${file} contents)
  string(APPEND text "{\"${file}\", R\"python(${contents})python\"},\n")
endforeach()
string(APPEND text "};\n}  // namespace\n\nabsl::Span<const PluginFile> PytestPlugin() { return kFiles; }\n\n}  // namespace dtest\n")
file(WRITE ${OUTPUT} "${text}")
