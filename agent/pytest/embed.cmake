# Writes OUTPUT: FILES of DIRECTORY as an array kFiles of TYPE, which HEADER declares, and the DEFINITION that uses it.
set(text "#include \"${HEADER}\"\n\nnamespace dtest {\nnamespace {\nconstexpr ${TYPE} kFiles[] = {\n")
foreach(file ${FILES})
  file(READ ${DIRECTORY}/${file} contents)
  string(APPEND text "{\"${file}\", R\"python(${contents})python\"},\n")
endforeach()
string(APPEND text "};\n}  // namespace\n\n${DEFINITION}\n\n}  // namespace dtest\n")
file(WRITE ${OUTPUT} "${text}")
