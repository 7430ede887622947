# Writes OUTPUT: FILES of DIRECTORY as constants, for agent/frameworks/pytest.cc.
set(text "#include \"agent/frameworks/pytest.h\"\n\nnamespace dtest {\nnamespace {\nconstexpr Companion::File kFiles[] = {\n")
foreach(file ${FILES})
  file(READ ${DIRECTORY}/${file} contents)
  string(APPEND text "{\"${file}\", R\"python(${contents})python\"},\n")
endforeach()
string(APPEND text "};\n}  // namespace\n\nconst Companion kPytestCompanion = {\"pytest\", \"start.py\", kFiles};\n\n}  // namespace dtest\n")
file(WRITE ${OUTPUT} "${text}")
