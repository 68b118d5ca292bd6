"""The light in the picture, as GLSL for VTK's surface shader: a sky, a ground, a key light and a fill light.

VTK's own lights cost one pass of Phong arithmetic each, which software rendering feels; these four together cost less
than two of them. Arithmetic is in linear light, approximated by squares; what comes in and
goes out is display-referred.
"""

LIGHT = """
  vec3 toEye = normalize(-vertexVC.xyz);
  // Seen from either side; VTK has turned the normal by the winding already, which many files have wrong.
  float turned = dot(normalVCVSOutput, toEye);
  vec3 normal = turned < 0.0 ? -normalVCVSOutput : normalVCVSOutput;
  float facing = abs(turned);
  float rise = dot(normal, upVC);
  vec3 sky = mix(vec3(0.34, 0.31, 0.29), vec3(0.50, 0.56, 0.66), 0.5 + 0.5 * rise);
  float key = max(dot(normal, vec3(-0.41, 0.64, 0.65)), 0.0);
  float fill = max(dot(normal, vec3(0.80, 0.10, 0.59)), 0.0);
  vec3 incoming = sky * 0.72 + key * vec3(0.78, 0.75, 0.69) + fill * vec3(0.13, 0.16, 0.20);
  vec3 base = diffuseColor * diffuseColor;
  vec3 f0 = mix(vec3(0.04), base, metallic);
  float gloss = 1.0 - roughness;
  float grazing = 1.0 - facing;
  float grazing2 = grazing * grazing;
  vec3 fresnel = f0 + (vec3(1.0) - f0) * (grazing2 * grazing2 * grazing) * gloss * gloss;
  vec3 mirrored = reflect(-toEye, normal);
  float horizon = clamp(0.5 + dot(mirrored, upVC) / (0.4 + 1.6 * roughness), 0.0, 1.0);
  vec3 around = mix(vec3(0.16, 0.15, 0.14), vec3(0.80, 0.88, 0.98), horizon) * (1.0 - 0.45 * roughness);
  float glint = max(dot(mirrored, vec3(-0.41, 0.64, 0.65)), 0.0);
  float highlight = pow(glint, 4.0 + 120.0 * gloss * gloss) * (0.25 + 3.0 * gloss * gloss);
  vec3 light = base * (1.0 - metallic) * incoming + fresnel * (around + highlight * vec3(1.0, 0.97, 0.92));
  gl_FragData[0] = vec4(sqrt(light + emissive * emissive), opacity);
"""
