# embed(TARGET NAMESPACE name=FILE ...): a source with `extern const std::string_view kName` for each
# file, its bytes as they are, added to the target. For files that a program carries with it.
function(embed target namespace)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp)
  set(text "#include <string_view>\n\nnamespace ${namespace} {\n")
  foreach(pair ${ARGN})
    string(REGEX MATCH "^([A-Za-z]+)=(.+)$" _ ${pair})
    set(name ${CMAKE_MATCH_1})
    set(file ${CMAKE_MATCH_2})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
    string(APPEND text "static const char ${name}_bytes[] = {${bytes}};\n"
      "extern const std::string_view ${name};\n"
      "const std::string_view ${name}(${name}_bytes, sizeof ${name}_bytes);\n")
  endforeach()
  string(APPEND text "}  // namespace ${namespace}\n")
  file(CONFIGURE OUTPUT ${source} CONTENT "${text}" @ONLY)
  target_sources(${target} PRIVATE ${source})
endfunction()
