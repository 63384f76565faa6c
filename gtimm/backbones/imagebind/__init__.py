"""ImageBind (Girdhar et al., CVPR 2023): one embedding space for images, audio and text.

An independent implementation that reads the published checkpoint by its own key names. `config` holds the sizes,
`preprocess` turns media into tensors, `layers`, `model` and `prompts` are the network, `weights` reads checkpoints,
`backbone` is the plug-in and `tiny` the small model that comes with the library.
"""
